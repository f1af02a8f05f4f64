package provider

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/jose"
	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/verifier"
	"github.com/assay-attestation/assay/policy"
)

// MaxSigners is how many policy management certificates a provider may have.
const MaxSigners = 64

// The refusals of changes. What the client is told is their text.
var (
	// ErrNotIsolated is of a change of signers where there are none (api.md section 6.4, in the words of Microsoft's service).
	ErrNotIsolated = errors.New("the provider is not isolated: GetPolicyRootCertificates().empty(). The operation is disallowed; " +
		"create a provider with policySigningCertificates to have signers")
	// ErrShared is of a change of the policies of a shared provider.
	ErrShared = errors.New("the provider is shared: its policies and signers cannot be changed; create one of your own")
	// ErrLastSigner is of the removal of the last signer.
	ErrLastSigner = errors.New("the last policy management certificate cannot be removed: add another one first")
	// ErrTooManySigners is of one signer more than MaxSigners.
	ErrTooManySigners = fmt.Errorf("the provider has %d policy management certificates, which is all it may have: remove one first", MaxSigners)
	// ErrNoSuchVersion is of a version of a policy that does not exist, or has no policy in it to go back to.
	ErrNoSuchVersion = errors.New("there is no such version of the policy")
	// ErrBaseline is in the error of a policy that selects a TCB baseline which the provider cannot use.
	ErrBaseline = errors.New("the policy selects a TCB baseline")
)

// Author says who makes a change, and records it in the transaction that makes it.
type Author struct {
	Name      string
	RequestID string
	At        time.Time
	// Audit records the change, with the hashes of what was before and is after it. It must not be nil.
	Audit func(tx *store.Tx, before, after string) error
}

func (a Author) stamp() store.Stamp {
	return store.Stamp{By: a.Name, At: a.At.UTC(), RequestID: a.RequestID}
}

// Upload is a policy as somebody sends it.
type Upload struct {
	Type      string // attestation type as the URL has it
	Body      []byte // a JWS, with or without quotes
	PlainText bool   // its text may stand there as it is (api version 2018-09-01-preview)
}

// SetPolicy puts the next version of a policy in force and returns the JWS that was sent. The error is a [policyjws.Refusal],
// [policy.Errors], one of this package, or a fault of the store (api.md section 8.4).
func (r *Registry) SetPolicy(ctx context.Context, i *Instance, up Upload, by Author) (*policyjws.Parsed, error) {
	jws, err := r.CheckPolicy(ctx, i, up)
	if err != nil {
		return nil, err
	}
	next := store.Policy{ProviderID: i.ID, Type: up.Type, JWS: jws.String(), Action: "set"}
	return jws, r.put(ctx, next, jws, by)
}

// CheckPolicy checks a policy as SetPolicy does, without setting it.
func (r *Registry) CheckPolicy(ctx context.Context, i *Instance, up Upload) (*policyjws.Parsed, error) {
	jws, err := policyjws.Parse(up.Body, policyjws.Options{PlainText: up.PlainText})
	if err != nil {
		return nil, err
	}
	if err := jws.Expect(policyjws.SetPolicy); err != nil {
		return nil, err
	}
	if _, err := authorize(i.Provider, jws); err != nil { // before work is done for it
		return nil, err
	}
	text, _ := jws.Text()
	p, err := r.Seats.Compile(ctx, text)
	if err != nil {
		return nil, err
	}
	if err := p.CheckFor(up.Type); err != nil {
		return nil, err
	}
	return jws, r.checkBaseline(ctx, p, up.Type)
}

// checkBaseline refuses a policy that selects a TCB baseline which does not exist (management.md section 10).
func (r *Registry) checkBaseline(ctx context.Context, p *policy.Policy, attestationType string) error {
	c, err := r.Seats.Configure(ctx, p, attestationType)
	switch {
	case errors.Is(err, verifier.ErrBusy):
		return err
	case err != nil:
		return nil // its evaluation will say so
	}
	if err := r.CheckBaseline(c.TCBBaseline()); err != nil {
		return fmt.Errorf("%w that the provider does not have: %w", ErrBaseline, err)
	}
	return nil
}

// authorize checks the signature of a change as the trust model wants it (policy.md section 10.1), and returns the signer, nil
// of an unsigned one.
func authorize(record store.Provider, jws *policyjws.Parsed) (*x509.Certificate, error) {
	if record.Shared {
		return nil, ErrShared
	}
	if !jws.Signed() && !record.Isolated {
		return nil, nil
	}
	verified, err := jws.Verify()
	if err != nil {
		return nil, err
	}
	if !record.Isolated {
		return verified.Certificates()[0], nil
	}
	signers, err := certificates(record.Signers)
	if err != nil {
		return nil, err
	}
	trusted, err := verified.Trust(signers)
	if err != nil {
		return nil, err
	}
	signer := trusted.Certificates()[0]
	if jws.Operation() == policyjws.ChangeSigners && !isOne(signers, signer) {
		return nil, &policyjws.Refusal{
			Reason: policyjws.Signer, Problem: "the key is certified by a signer, and is none itself",
			Expected: "a change of signers signed with the key of one of them", Found: policyjws.Thumbprint(signer),
		}
	}
	return signer, nil
}

// isOne reports whether a certificate has the key of one of the signers. Only they decide who else is one (api.md section 9.2): whoever
// a CA among them certifies may sign policies, no more.
func isOne(signers []*x509.Certificate, cert *x509.Certificate) bool {
	return slices.ContainsFunc(signers, func(s *x509.Certificate) bool {
		return bytes.Equal(s.RawSubjectPublicKeyInfo, cert.RawSubjectPublicKeyInfo)
	})
}

// put writes the next version of a policy. Whether its JWS may be set is judged by the signers of that very moment.
func (r *Registry) put(ctx context.Context, next store.Policy, jws *policyjws.Parsed, by Author) error {
	err := r.Store.Write(ctx, func(tx *store.Tx) error {
		record, err := tx.Provider(next.ProviderID)
		if err != nil {
			return err
		}
		signer, err := authorize(record, jws)
		if err != nil {
			return err
		}
		if signer != nil {
			next.Signer = policyjws.Thumbprint(signer)
		}
		before, err := tx.Policy(next.ProviderID, next.Type, 0)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		next.Version, next.Stamp = before.Version+1, by.stamp()
		next.Hash, next.TokenHash = jws.PolicyHash(), jws.TokenHash()
		if err := tx.AddPolicy(next); err != nil {
			return err
		}
		return by.Audit(tx, hashOf([]byte(before.JWS)), hashOf([]byte(jws.String())))
	})
	return r.refreshed(ctx, err)
}

// refreshed puts a change into service here, before its author learns that it was made.
func (r *Registry) refreshed(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	return r.Refresh(context.WithoutCancel(ctx))
}

// ResetPolicy brings the default policy back. up must be a JWS with an empty payload (api.md section 8.5).
func (r *Registry) ResetPolicy(ctx context.Context, i *Instance, up Upload, by Author) error {
	jws, err := policyjws.Parse(up.Body, policyjws.Options{})
	if err != nil {
		return err
	}
	if err := jws.Expect(policyjws.ResetPolicy); err != nil {
		return err
	}
	return r.put(ctx, store.Policy{ProviderID: i.ID, Type: up.Type, Action: "reset"}, jws, by)
}

// Rollback puts an older version of a policy in force again, as a new version. It needs what setting it would: the signer
// must be trusted now, and the text must be one that this program accepts.
func (r *Registry) Rollback(ctx context.Context, i *Instance, attestationType string, version int64, by Author) (*store.Policy, error) {
	old, err := r.Version(ctx, i, attestationType, version)
	if err != nil {
		return nil, err
	}
	if old.JWS == "" {
		return nil, fmt.Errorf("%w to go back to: version %d took the policy back; use reset", ErrNoSuchVersion, version)
	}
	jws, err := r.CheckPolicy(ctx, i, Upload{attestationType, []byte(old.JWS), true})
	if err != nil {
		return nil, err
	}
	next := store.Policy{ProviderID: i.ID, Type: attestationType, JWS: old.JWS, Action: "rollback", Of: version}
	if err := r.put(ctx, next, jws, by); err != nil {
		return nil, err
	}
	return r.Version(ctx, i, attestationType, 0)
}

// Version gives one version of a policy with its JWS, the newest for 0. The error wraps ErrNoSuchVersion if there is none.
func (r *Registry) Version(ctx context.Context, i *Instance, attestationType string, version int64) (p *store.Policy, err error) {
	err = r.Store.Read(ctx, func(tx *store.Tx) error {
		found, err := tx.Policy(i.ID, attestationType, version)
		p = &found
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("%w: version %d for %s", ErrNoSuchVersion, version, attestationType)
	}
	return p, err
}

// History gives up to limit versions of a policy below a version, newest first and without their JWS.
func (r *Registry) History(ctx context.Context, i *Instance, attestationType string, below int64, limit int) (history []store.Policy, err error) {
	err = r.Store.Read(ctx, func(tx *store.Tx) error {
		history, err = tx.PolicyHistory(i.ID, attestationType, below, limit)
		return err
	})
	return history, err
}

// AddSigner adds the certificate in a JWS, which a signer that is trusted already must have signed, to the policy management
// certificates. One that is there already is not added again (api.md section 9.2).
func (r *Registry) AddSigner(ctx context.Context, i *Instance, body []byte, by Author) (*x509.Certificate, error) {
	return r.changeSigners(ctx, i, body, by, func(signers [][]byte, der []byte) ([][]byte, error) {
		if slices.ContainsFunc(signers, func(s []byte) bool { return bytes.Equal(s, der) }) {
			return signers, nil
		}
		if len(signers) >= MaxSigners {
			return nil, ErrTooManySigners
		}
		if err := checkSigners([][]byte{der}); err != nil {
			return nil, err
		}
		return append(slices.Clone(signers), der), nil
	})
}

// RemoveSigner takes the certificate in a JWS out of the policy management certificates, unless it is the last one.
func (r *Registry) RemoveSigner(ctx context.Context, i *Instance, body []byte, by Author) (*x509.Certificate, error) {
	return r.changeSigners(ctx, i, body, by, func(signers [][]byte, der []byte) ([][]byte, error) {
		left := slices.DeleteFunc(slices.Clone(signers), func(s []byte) bool { return bytes.Equal(s, der) })
		if len(left) == 0 {
			return nil, ErrLastSigner
		}
		return left, nil
	})
}

func (r *Registry) changeSigners(ctx context.Context, i *Instance, body []byte, by Author, change func(signers [][]byte, der []byte) ([][]byte, error)) (*x509.Certificate, error) {
	if !i.Isolated {
		return nil, ErrNotIsolated
	}
	jws, err := policyjws.Parse(body, policyjws.Options{})
	if err != nil {
		return nil, err
	}
	if err := jws.Expect(policyjws.ChangeSigners); err != nil {
		return nil, err
	}
	cert, _ := jws.PolicyCertificate()
	err = r.Store.Write(ctx, func(tx *store.Tx) error {
		record, err := tx.Provider(i.ID)
		if err != nil {
			return err
		}
		if _, err := authorize(record, jws); err != nil {
			return err
		}
		before := signersHash(record.Signers)
		if record.Signers, err = change(record.Signers, cert.Raw); err != nil {
			return err
		}
		if after := signersHash(record.Signers); after != before {
			record.Modified = by.stamp()
			if err := tx.UpdateProvider(record); err != nil {
				return err
			}
		}
		return by.Audit(tx, before, signersHash(record.Signers))
	})
	return cert, r.refreshed(ctx, err)
}

// signersHash names a set of signers in the audit trail: the hash of their DER, one after the other.
func signersHash(signers [][]byte) string { return hashOf(slices.Concat(signers...)) }

// hashOf is the SHA-256 of what the audit trail does not keep itself, in base64url; nothing of nothing.
func hashOf(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	digest := sha256.Sum256(b)
	return b64.URL(digest[:])
}

// signerJWK is a signer as the service shows it (api.md sections 8.4 and 9.1).
type signerJWK struct {
	Algorithm string   `json:"alg"`
	Type      string   `json:"kty"`
	Use       string   `json:"use"`
	Chain     [][]byte `json:"x5c"` // standard base64
}

// SignerKey gives the JWK of whoever signed a policy, nil of an unsigned one.
func SignerKey(jws *policyjws.Parsed) (jsontext.Value, error) {
	if !jws.Signed() {
		return nil, nil
	}
	return jwkOf(jws.Certificates()[0], jws.Algorithm())
}

// SignerKeys gives certificates as a JWK set. The algorithm is the usual one of each key.
func SignerKeys(certs []*x509.Certificate) (jsontext.Value, error) {
	set := struct {
		Keys []jsontext.Value `json:"keys"`
	}{Keys: []jsontext.Value{}}
	for _, cert := range certs {
		algorithm, err := jose.For(cert.PublicKey)
		if err != nil {
			return nil, err
		}
		key, err := jwkOf(cert, algorithm.Name)
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, key)
	}
	return json.Marshal(set)
}

func jwkOf(cert *x509.Certificate, algorithm string) (jsontext.Value, error) {
	kind := "RSA"
	if cert.PublicKeyAlgorithm == x509.ECDSA {
		kind = "EC"
	}
	return json.Marshal(signerJWK{algorithm, kind, "sig", [][]byte{cert.Raw}})
}
