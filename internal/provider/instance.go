// Package provider is the control plane below HTTP: attestation providers as they are in service, who may change what of
// them (trust models, management.md section 5), and the changes themselves. What is in service follows the store, on every
// replica within [PollTime].
package provider

import (
	"crypto/x509"
	"errors"
	"fmt"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/issuer"
	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/internal/reference"
	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/verifier"
	"github.com/assay-attestation/assay/policy"
)

// Default is the name of the provider that the configuration describes.
const Default = "default"

// Instance is a provider in service: its record, and what was made of it. It does not change; the next version of the
// provider is another instance.
type Instance struct {
	store.Provider
	Settings Settings
	Keys     *issuer.Keys
	Verifier *verifier.Verifier
	Share    verifier.Share // of the seats for work on policies
	policies map[string]*InForce
	// RevokedAIKs are the attestation keys whose certificates were revoked, with the ids of these; PinnedAIKs those that need none.
	RevokedAIKs map[tpm.KeyHash]string
	PinnedAIKs  map[tpm.KeyHash]bool
	References  *reference.Set // nil: none
	entries     []reference.Entry
	// brokenReference says why reference values of the store cannot be used, nil if all can.
	brokenReference error
	// Outdated says why what the store has now cannot be put into service, nil if it is. Such an instance still shows its
	// keys and decides nothing: its owner may have forbidden what it would permit.
	Outdated error
}

// outdated gives the instance with the keys of its next version, if they could be loaded: one that was withdrawn must not be
// listed any longer.
func (i *Instance) outdated(next *Instance, err error) *Instance {
	old := *i
	old.Outdated = err
	if next != nil && next.URL == i.URL {
		old.Keys = next.Keys
	}
	return &old
}

// InForce is the policy of a provider for one attestation type.
type InForce struct {
	Version int64  // of the store; 0: never set
	JWS     string // as it was uploaded; of a default, the text in an unsigned JWS
	Policy  *policy.Policy
	Signer  jsontext.Value // the JWK of the signer, nil of an unsigned policy
	Broken  error          // why the stored policy cannot be used, nil if it can: nothing is attested then

	stored    string // the JWS of the store: of a default none
	configure func() (*policy.Configuration, error)
}

// is reports whether p was made of a stored version, and can be used.
func (p *InForce) is(stored store.Policy) bool {
	return p != nil && p.Broken == nil && p.Version == stored.Version && p.stored == stored.JWS
}

// Configuration is what the configuration rules of the policy set. They see nothing of a request, and run once for all who ask. The
// error is a [policy.EvaluationError]. There must be a policy.
func (p *InForce) Configuration() (*policy.Configuration, error) { return p.configure() }

// Baseline names the TCB baseline that the policy selects. The error is a [policy.EvaluationError]; without a policy nothing is selected.
func (p *InForce) Baseline() (string, error) {
	if p.configure == nil {
		return "", nil
	}
	c, err := p.configure()
	if err != nil {
		return "", err
	}
	return c.TCBBaseline(), nil
}

// inForce makes the policy of a version.
func inForce(p store.Policy, jws string, compiled *policy.Policy, signer jsontext.Value) *InForce {
	configure := sync.OnceValues(func() (*policy.Configuration, error) { return compiled.Configure(p.Type, policy.Budget{}) })
	return &InForce{Version: p.Version, JWS: jws, Policy: compiled, Signer: signer, stored: p.JWS, configure: configure}
}

// Types are the attestation types that have policies.
func Types() []string {
	return []string{"SgxEnclave", "OpenEnclave", "SevSnpVm", "TdxVm", "AzureGuest", "Tpm"}
}

// Policy gives the policy that is in force for an attestation type, named as in URLs. Where there is none, as for Tpm at first, its
// Policy is nil, and its JWS the one that takes a policy back (api.md section 8.3).
func (i *Instance) Policy(attestationType string) *InForce {
	if p := i.policies[attestationType]; p != nil {
		return p
	}
	return &InForce{JWS: policyjws.UnsignedReset()}
}

// PolicySigners gives the policy management certificates in the order of their adding.
func (i *Instance) PolicySigners() ([]*x509.Certificate, error) { return certificates(i.Signers) }

func certificates(ders [][]byte) (certs []*x509.Certificate, err error) {
	for _, der := range ders {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("policy signer: %w", err)
		}
		certs = append(certs, cert)
	}
	return certs, nil
}

// open makes the policy of a stored version, or the default again where that version took the policy back.
func open(p store.Policy, defaults map[string]string) (*InForce, error) {
	jws := p.JWS
	if jws == "" {
		jws = defaults[p.Type]
	}
	if jws == "" {
		return &InForce{Version: p.Version, JWS: policyjws.UnsignedReset()}, nil
	}
	// It was accepted when it was set. Plain text is what clients of 2018-09-01-preview may have sent.
	parsed, err := policyjws.Parse([]byte(jws), policyjws.Options{PlainText: true})
	if err != nil {
		return nil, err
	}
	if err := parsed.Expect(policyjws.SetPolicy); err != nil {
		return nil, err
	}
	text, _ := parsed.Text()
	compiled, err := policy.Parse(text)
	if err != nil {
		return nil, err
	}
	signer, err := SignerKey(parsed)
	return inForce(p, jws, compiled, signer), err
}

// Defaults gives the policies that a provider has by itself, as JWS by attestation type: those given, and the built-in ones.
func Defaults(given map[string]string) (map[string]string, error) {
	defaults := map[string]string{}
	for _, t := range Types() {
		if given[t] != "" {
			defaults[t] = given[t]
		} else if text := policy.Default(t); text != nil {
			jws, err := policyjws.UnsignedPolicy(text)
			if err != nil {
				return nil, err
			}
			defaults[t] = jws
		}
	}
	return defaults, nil
}

// Verifiable gives the policies for those attestation types whose evidence the verifier knows.
func (i *Instance) Verifiable() map[evidence.Type]verifier.Policy {
	policies := map[evidence.Type]verifier.Policy{}
	for _, t := range []evidence.Type{evidence.SgxEnclave, evidence.OpenEnclave, evidence.SevSnpVM, evidence.TdxVM, evidence.AzureGuest, evidence.Tpm} {
		if p := i.policies[string(t)]; p != nil && p.Policy != nil {
			policies[t] = verifier.Policy{Policy: p.Policy, Signer: p.Signer, Configuration: p.Configuration}
		}
	}
	return policies
}

// errNoKeys is of a provider whose first key is being made.
var errNoKeys = errors.New("the provider has no signing key yet")
