package collateral

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/assay-attestation/assay/evidence/dcap"
)

// want describes one document: what it is, where its bytes come from, and what they must hold up to before the cache
// keeps what they say.
type want struct {
	key    string // tells it from all others; also the name of its file
	name   string // for people
	fetch  func(context.Context) (raw, error)
	verify func(raw) (document, error)
}

// The keys hold what sgx-tdx.md section 6.4 names, and the root or CA by its key besides: two PKIs, such as Intel's and
// a simulated one, may use the same names.

func (c *Cache) tcbInfo(o *dcap.Origin, evaluation string) want {
	fmspc, anchor := o.FMSPC(), o.Anchor()
	return want{
		key: tcbInfoKey + fmspc.String() + "-" + evaluation + "-" + anchor.String(), name: tcbInfoName(fmspc, evaluation),
		fetch: func(ctx context.Context) (r raw, err error) {
			r.Document, r.Chain, err = c.cfg.Source.TCBInfo(ctx, fmspc, evaluation)
			return r, err
		},
		verify: func(r raw) (document, error) {
			t, err := c.cfg.Verifier.TCBInfo(r.Document, r.Chain)
			if err == nil && (t.TEE() != dcap.SGX || t.FMSPC() != fmspc) {
				err = fmt.Errorf("it is the one for %s platforms with FMSPC %s", t.TEE(), t.FMSPC())
			}
			if err != nil {
				return document{}, err
			}
			return signedDocument(t, r.Chain, anchor, evaluation)
		},
	}
}

func (c *Cache) qeIdentity(o *dcap.Origin, evaluation string) want {
	anchor := o.Anchor()
	return want{
		key: qeIdentityKey + evaluation + "-" + anchor.String(), name: qeIdentityName(evaluation),
		fetch: func(ctx context.Context) (r raw, err error) {
			r.Document, r.Chain, err = c.cfg.Source.QEIdentity(ctx, evaluation)
			return r, err
		},
		verify: func(r raw) (document, error) {
			q, err := c.cfg.Verifier.QEIdentity(r.Document, r.Chain)
			if err == nil && q.ID() != "QE" {
				err = fmt.Errorf("it is the identity of %s", q.ID())
			}
			if err != nil {
				return document{}, err
			}
			return signedDocument(q, r.Chain, anchor, evaluation)
		},
	}
}

// signedDocument checks that a verified document belongs to the PKI and the evaluation it was asked for.
func signedDocument(doc signed, chain []byte, anchor dcap.Anchor, evaluation string) (document, error) {
	if found := anchorOf(chain); found != anchor {
		return document{}, fmt.Errorf("its issuer chain ends in the root %s, that of the evidence in %s", found, anchor)
	}
	if n := strconv.FormatUint(uint64(doc.EvaluationNumber()), 10); isNumber(evaluation) && n != evaluation {
		return document{}, fmt.Errorf("its evaluation number is %s", n)
	}
	return document{value: doc, issued: doc.IssueDate(), next: doc.NextUpdate()}, nil
}

// signed is what a verified TCB info and a verified QE identity have in common.
type signed interface {
	EvaluationNumber() uint32
	IssueDate() time.Time
	NextUpdate() time.Time
}

// isNumber reports whether s is a TCB evaluation data number as the API writes it: decimal, without leading zeros.
func isNumber(s string) bool {
	n, err := strconv.ParseUint(s, 10, 32)
	return err == nil && strconv.FormatUint(n, 10) == s
}

func (c *Cache) pckCRL(o *dcap.Origin) want {
	ca := o.CA()
	keyID := ca.KeyID()
	return want{
		key: pckCRLKey + string(ca.Kind()) + "-" + hex.EncodeToString(keyID[:]), name: pckCRLName(ca.Kind()),
		fetch: func(ctx context.Context) (r raw, err error) {
			r.Document, err = c.cfg.Source.PCKCRL(ctx, ca.Kind())
			return r, err
		},
		verify: func(r raw) (document, error) { return crlDocument(c.cfg.Verifier.PCKCRL(r.Document, ca)) },
	}
}

func (c *Cache) rootCRL(o *dcap.Origin) want {
	anchor := o.Anchor()
	return want{
		key: rootCRLKey + anchor.String(), name: string(RootCRL),
		fetch: func(ctx context.Context) (r raw, err error) {
			r.Document, err = c.cfg.Source.RootCRL(ctx)
			return r, err
		},
		verify: func(r raw) (document, error) { return crlDocument(c.cfg.Verifier.RootCRL(r.Document, anchor)) },
	}
}

func crlDocument(crl *dcap.CRL, err error) (document, error) {
	if err != nil {
		return document{}, err
	}
	return document{value: crl, issued: crl.ThisUpdate(), next: crl.NextUpdate()}, nil
}

// anchorOf names the root that an issuer chain ends in. Only the chain of a verified document may be asked: there the
// last certificate is a trusted root.
func anchorOf(chain []byte) (a dcap.Anchor) {
	for block, rest := pem.Decode(chain); block != nil; block, rest = pem.Decode(rest) {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			a = sha256.Sum256(cert.RawSubjectPublicKeyInfo)
		}
	}
	return a
}

// check says why a document may not be used now; nil if it may. The verification of evidence makes the same checks;
// here they decide whether to ask the source again, and keep a stale document from being a verdict on the evidence.
func (c *Cache) check(d document) error {
	now, skew := c.cfg.Clock(), dcap.ClockSkew
	_, isCRL := d.value.(*dcap.CRL)
	if isCRL {
		skew = 0
	}
	switch {
	case d.value == nil:
		return errors.New("it is not loaded")
	case d.issued.After(now.Add(skew)):
		return fmt.Errorf("it is issued in the future, at %s", stamp(d.issued))
	case (isCRL || !c.cfg.Pinned) && !now.Before(d.next.Add(c.cfg.Grace)):
		return fmt.Errorf("it is past its nextUpdate %s (collateral_expiry=enforce)", stamp(d.next))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
