package snp

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/binread"
)

// Bounds of what comes with a report. Real chains have three certificates and 6.5 KB; Linux takes tables of at most 16 KiB from the host.
const (
	// MaxChain is the most that is read of a chain in PEM or of a certificate table, in bytes.
	MaxChain = 32 << 10
	// MaxCertificates is how many certificates a chain may have.
	MaxCertificates  = 8
	maxTableEntries  = 16
	tableEntrySize   = 24
	certificateBegin = "-----BEGIN CERTIFICATE-----"
	certificateEnd   = "-----END CERTIFICATE-----"
)

// Common names of the certificates that sign reports.
const (
	vcekName = "SEV-VCEK"
	vlekName = "SEV-VLEK"
)

// ErrMissing is in the refusal of a chain that lacks certificates: whoever gets them from elsewhere may try again. A chain whose certificates are
// there but wrong or not trusted is refused without it.
var ErrMissing = errors.New("certificates are missing")

// Chain is the certificates that came with a report, in any order and possibly without ASK and ARK; nothing is believed.
type Chain struct {
	Leaf   *x509.Certificate // VCEK or VLEK, told by its content
	Others []*x509.Certificate
}

// ParseChain reads certificates in PEM, with LF or CRLF, of at most [MaxChain] bytes and [MaxCertificates] in number, in any order. One of them is a
// VCEK or VLEK. The error is an [evidence.Refusal].
func ParseChain(b []byte) (*Chain, error) {
	if err := short(b); err != nil {
		return nil, err
	}
	ders, err := splitPEM(b)
	if err != nil {
		return nil, unreadable(err)
	}
	return newChain(ders)
}

// short holds certificates to the limit of their size.
func short(b []byte) error {
	if len(b) > MaxChain {
		return evidence.Refuse(evidence.SNPChain, "the certificates of the report are too long").
			Want(fmt.Sprintf("at most %d bytes", MaxChain), fmt.Sprintf("%d bytes", len(b)))
	}
	return nil
}

func unreadable(err error) *evidence.Refusal {
	return evidence.Refuse(evidence.SNPChain, "the certificates of the report cannot be read").Because(err).
		Do("send VCEK or VLEK, ASK and ARK as AMD issued them")
}

// incomplete is the refusal of a chain that lacks what.
func incomplete(what string) *evidence.Refusal {
	return evidence.Refuse(evidence.SNPChain, "the certificate chain of the report is incomplete").Because(ErrMissing).Want(what, "none").
		Do("send VCEK or VLEK, ASK and ARK with the report; a service with the setting snp_kds fetches them from AMD")
}

// newChain tells the certificates apart.
func newChain(ders [][]byte) (*Chain, error) {
	if len(ders) > MaxCertificates {
		return nil, unreadable(fmt.Errorf("more than %d certificates", MaxCertificates))
	}
	c := &Chain{}
	for i, der := range ders {
		cert, err := x509.ParseCertificate(der)
		switch {
		case err != nil:
			return nil, unreadable(fmt.Errorf("certificate %d: %w", i+1, err))
		case !isLeaf(cert):
			c.Others = append(c.Others, cert)
		case c.Leaf != nil:
			return nil, unreadable(errors.New("more than one VCEK or VLEK"))
		default:
			c.Leaf = cert
		}
	}
	if c.Leaf == nil {
		return nil, incomplete("a VCEK or VLEK")
	}
	return c, nil
}

// isLeaf reports whether cert is meant to be a VCEK or VLEK: by its name, or by AMD's extensions, which no other certificate has.
func isLeaf(cert *x509.Certificate) bool {
	name := cert.Subject.CommonName
	return name == vcekName || name == vlekName || len(amdExtensions(cert)) > 0
}

// padding may stand behind certificates that came as a C string or out of a file.
const padding = "\x00 \r\n\t"

// splitPEM takes certificates apart into their DER. Nothing but white space may stand between them. Line ends may be missing: those who reorder
// chains forget them, before and behind the end of a certificate.
func splitPEM(b []byte) (ders [][]byte, err error) {
	b = bytes.Trim(b, padding)
	for len(b) > 0 && len(ders) <= MaxCertificates {
		body, begins := bytes.CutPrefix(b, []byte(certificateBegin))
		body, rest, ends := bytes.Cut(body, []byte(certificateEnd))
		if !begins || !ends {
			return nil, errors.New("expected a PEM certificate, found something else")
		}
		der, err := base64.StdEncoding.Strict().DecodeString(string(bytes.Join(bytes.Fields(body), nil)))
		if err != nil {
			return nil, errors.New("the PEM is damaged")
		}
		ders = append(ders, der)
		b = bytes.TrimLeft(rest, padding)
	}
	return ders, nil
}

// GUIDs of the certificates in a table, as they are printed (sev-snp.md section 2). Entries with other GUIDs, as that of a revocation list, are not read.
const (
	guidVCEK = "63da758de6644564adc5f4b93be8accd"
	guidVLEK = "a8074bc2a25a483eaae639c045a0b8a1"
	guidASK  = "4ab7b379bbac4fe4a02f05aef327c782"
	guidARK  = "c0b406a4a803495297433fb6014cd0ae"
)

// ParseTable reads the certificate table of an extended report, which Linux gives as auxblob (sev-snp.md section 2): entries
// of DER or PEM. The error is an [evidence.Refusal].
func ParseTable(b []byte) (*Chain, error) {
	if err := short(b); err != nil {
		return nil, err
	}
	ders, err := readTable(b)
	if err != nil {
		return nil, unreadable(fmt.Errorf("certificate table: %w", err))
	}
	return newChain(ders)
}

// readTable follows the entries of a table up to the one that is all zero.
func readTable(b []byte) (ders [][]byte, err error) {
	c := binread.New(b)
	for range maxTableEntries {
		entry := c.Bytes("entry", tableEntrySize)
		if err := c.Err(); err != nil {
			return nil, err
		}
		if bytes.Equal(entry, make([]byte, tableEntrySize)) {
			return ders, nil
		}
		content, err := readEntry(b, entry)
		if err != nil {
			return nil, err
		}
		ders = append(ders, content...)
	}
	return nil, fmt.Errorf("more than %d entries", maxTableEntries-1)
}

// readEntry gives the certificates that an entry points to, in DER; none if it is of another kind.
func readEntry(table, entry []byte) ([][]byte, error) {
	c := binread.New(entry)
	guid := hex.EncodeToString(c.Bytes("GUID", 16))
	offset, length := uint64(c.LE32("offset")), uint64(c.LE32("length"))
	switch guid {
	case guidVCEK, guidVLEK, guidASK, guidARK:
	default:
		return nil, nil
	}
	if offset+length > uint64(len(table)) {
		return nil, fmt.Errorf("entry %s ends at %d, behind the end of the table at %d", guid, offset+length, len(table))
	}
	content := table[offset : offset+length]
	if strings.HasPrefix(string(content), certificateBegin) {
		return splitPEM(content)
	}
	return [][]byte{content}, nil
}
