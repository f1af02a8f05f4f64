package attester

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// The NV indices of the issuing chain, DER certificates one after the other (tpm-evidence.md section 3).
const (
	ekChainFirst tpm2.TPMHandle = 0x01C00100
	ekChainLast  tpm2.TPMHandle = 0x01C001FF
)

const (
	maxIndex = 16 << 10 // bytes of an NV index that is read; real ones have up to 4 KB
	nvChunk  = 512      // bytes that each TPM gives in one answer
)

// EKChain reads the certificates of CAs that the maker has put beside those of the endorsement keys, in their order; nil: none. Nobody has verified
// them. The error is a *[Problem].
func (t *TPM) EKChain() ([]*x509.Certificate, error) {
	indices, err := t.handles("listing its certificates", ekChainFirst, maxChain)
	if err != nil {
		return nil, err
	}
	var all []byte
	for _, index := range indices {
		if index < ekChainFirst || index > ekChainLast {
			continue
		}
		b, err := t.ReadIndex(uint32(index))
		if err != nil {
			return nil, err
		}
		all = append(all, b...)
	}
	chain, err := certificates(all)
	if err != nil {
		return nil, problem("the issuing chain of the endorsement key in the TPM cannot be read", "ask the maker of the machine for a new one", err)
	}
	return chain, nil
}

// certificates reads certificates one after the other, up to a rest of zeros.
func certificates(b []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	rest := cryptobyte.String(b)
	for len(bytes.Trim(rest, "\x00")) > 0 {
		var element cryptobyte.String
		if len(chain) == maxChain || !rest.ReadASN1Element(&element, asn1.SEQUENCE) {
			return nil, fmt.Errorf("expected at most %d certificates in DER, and zeros behind them", maxChain)
		}
		c, err := x509.ParseCertificate(element)
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	return chain, nil
}

// ReadIndex reads an NV index that needs no password, from 01000000 on (tpm-evidence.md section 3); nil: there is none, or nothing was written into it. The
// error is a *[Problem].
func (t *TPM) ReadIndex(number uint32) ([]byte, error) {
	index, doing := tpm2.TPMHandle(number), fmt.Sprintf("reading index %08X", number)
	public, err := tpm2.NVReadPublic{NVIndex: index}.Execute(t.link)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return nil, nil
	}
	if err != nil {
		return nil, failed(doing, err)
	}
	area, err := public.NVPublic.Contents()
	if err != nil {
		return nil, failed(doing, err)
	}
	if area.DataSize > maxIndex {
		return nil, failed(doing, fmt.Errorf("it has %d bytes, more than %d", area.DataSize, maxIndex))
	}
	reader := tpm2.AuthHandle{Handle: index, Name: public.NVName, Auth: tpm2.PasswordAuth(nil)}
	if !area.Attributes.AuthRead { // as on Azure: the owner's, whose password is empty, too
		reader = tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}
	}
	b := []byte{} // not nil: an index without bytes is one
	for len(b) < int(area.DataSize) {
		answer, err := tpm2.NVRead{
			AuthHandle: reader,
			NVIndex:    tpm2.NamedHandle{Handle: index, Name: public.NVName},
			Size:       uint16(min(nvChunk, int(area.DataSize)-len(b))), Offset: uint16(len(b)),
		}.Execute(t.link)
		if errors.Is(err, tpm2.TPMRCNVUninitialized) {
			return nil, nil
		}
		if err != nil {
			return nil, failed(doing, err)
		}
		if len(answer.Data.Buffer) == 0 {
			return nil, failed(doing, errors.New("the TPM gives nothing"))
		}
		b = append(b, answer.Data.Buffer...)
	}
	return b, nil
}
