package provider

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/internal/issuer"
	"github.com/assay-attestation/assay/internal/jose"
	"github.com/assay-attestation/assay/internal/store"
)

// Bounds of a provider's record.
const (
	maxTags     = 50  // Azure's own
	maxTagName  = 512 // characters
	maxTagValue = 256
)

// The refusals of changes of providers.
var (
	// ErrInvalid is in the error of a value that a record cannot have.
	ErrInvalid = errors.New("invalid provider")
	// ErrFixed is in the error of a change of what is fixed when a provider is created.
	ErrFixed = errors.New("fixed when the provider was created")
	// ErrConfigured is of a change of the provider that the configuration describes.
	ErrConfigured = errors.New("the provider default is described by the configuration of the service; change it there")
	// ErrNoURL is of a service that has no way to give a new provider an URL.
	ErrNoURL = errors.New("the service is not configured to create providers: set provider_url or provider_listen")
)

// Spec is what somebody wants a provider to be. In a change, nil and the empty text leave a member as it is; what is fixed when a
// provider is created may be there if it is as it was.
type Spec struct {
	Name                                              string
	Subscription                                      string
	ResourceGroup                                     string
	Location                                          string
	Tags                                              map[string]string
	TrustModel                                        string   // AAD or Isolated, which must fit Signers
	Signers                                           [][]byte // DER; one or more make the provider isolated
	Shared                                            *bool
	PublicNetworkAccess, TPMAttestationAuthentication *string
	Settings                                          jsontext.Value
	IfVersion                                         int64 // change only this version; 0: any
}

// Address gives a new provider its URL and, if it is to have one of its own, the address of its listener.
type Address func(name, location string, taken []store.Provider) (url, listen string, err error)

// NewID draws the id of a provider.
func NewID() string {
	var id [16]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

// namePattern is what names are made of (management.md section 3).
var namePattern = regexp.MustCompile(`^[a-zA-Z0-9-]{3,24}$`)

// CheckName reports a name that no provider can have.
func CheckName(name string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("%w: expected a name of 3 to 24 letters, digits and hyphens, found %.40q", ErrInvalid, name)
	}
	return nil
}

// Create makes a provider with its first signing key and puts it into service. The error wraps [store.ErrTaken] if there is one
// of that name.
func (r *Registry) Create(ctx context.Context, spec Spec, address Address, by Author) error {
	if spec.Signers == nil {
		spec.Signers = [][]byte{}
	}
	record := store.Provider{
		ID: NewID(), Name: strings.ToLower(spec.Name), Subscription: spec.Subscription,
		ResourceGroup: spec.ResourceGroup, Location: ShortLocation(spec.Location), Isolated: len(spec.Signers) > 0,
		Shared: spec.Shared != nil && *spec.Shared, Signers: spec.Signers, Created: by.stamp(), Modified: by.stamp(),
	}
	if err := CheckName(spec.Name); err != nil {
		return err
	}
	if address == nil {
		return ErrNoURL
	}
	if err := r.apply(&spec, &record); err != nil {
		return err
	}
	key, err := issuer.Generate(by.At.Truncate(time.Second))
	if err != nil {
		return err
	}
	err = r.Store.Write(ctx, func(tx *store.Tx) (err error) {
		all, err := tx.Providers()
		if err != nil {
			return err
		}
		if record.URL, record.Listen, err = address(record.Name, record.Location, all); err != nil {
			return err
		}
		if err := issuer.CheckURL(record.URL); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		if err := tx.AddProvider(record); err != nil {
			return err
		}
		if err := r.Keys.Add(tx, record.ID, key); err != nil {
			return err
		}
		return by.Audit(tx, "", recordHash(record))
	})
	return r.refreshed(ctx, err)
}

// Update changes a provider (management.md section 4.3). The error wraps [store.ErrConflict] if it is not of spec.IfVersion, and
// ErrFixed if the change is of what cannot be changed.
func (r *Registry) Update(ctx context.Context, i *Instance, spec Spec, by Author) error {
	if i.Name == Default {
		return ErrConfigured
	}
	err := r.Store.Write(ctx, func(tx *store.Tx) error {
		record, err := tx.Provider(i.ID)
		if err != nil {
			return err
		}
		if err := checkVersion(record, spec.IfVersion); err != nil {
			return err
		}
		if err := spec.fixed(&record); err != nil {
			return err
		}
		before := recordHash(record)
		if err := r.apply(&spec, &record); err != nil {
			return err
		}
		record.Modified = by.stamp()
		if err := tx.UpdateProvider(record); err != nil {
			return err
		}
		return by.Audit(tx, before, recordHash(record))
	})
	return r.refreshed(ctx, err)
}

// Delete takes a provider away with its keys. The error wraps [store.ErrConflict] if it is not of the version, 0 for any, and
// [store.ErrNotFound] if it is not there any more.
func (r *Registry) Delete(ctx context.Context, i *Instance, version int64, by Author) error {
	if i.Name == Default {
		return ErrConfigured
	}
	err := r.Store.Write(ctx, func(tx *store.Tx) error {
		record, err := tx.Provider(i.ID)
		if err != nil {
			return err
		}
		if err := checkVersion(record, version); err != nil {
			return err
		}
		if err := tx.DeleteProvider(i.ID); err != nil {
			return err
		}
		return by.Audit(tx, recordHash(record), "")
	})
	return r.refreshed(ctx, err)
}

// Ensure makes the default provider, or gives it the URL that the configuration has now. Its trust model is fixed once it
// exists: signers given later must be none, or the provider isolated.
func (r *Registry) Ensure(ctx context.Context, want store.Provider, by Author) error {
	if err := checkSigners(want.Signers); err != nil {
		return err
	}
	return r.Store.Write(ctx, func(tx *store.Tx) error {
		record, err := tx.ProviderNamed(Default)
		if errors.Is(err, store.ErrNotFound) {
			want.ID, want.Name, want.Created, want.Modified = NewID(), Default, by.stamp(), by.stamp()
			if err := tx.AddProvider(want); err != nil {
				return err
			}
			return by.Audit(tx, "", recordHash(want))
		}
		if err != nil {
			return err
		}
		if want.Isolated && !record.Isolated {
			return fmt.Errorf("policy_signers: the trust model is %w, and it was created without signers", ErrFixed)
		}
		if record.URL == want.URL && record.Location == want.Location && record.Shared == want.Shared {
			return nil
		}
		before := recordHash(record)
		record.URL, record.Location, record.Shared, record.Modified = want.URL, want.Location, want.Shared, by.stamp()
		if err := tx.UpdateProvider(record); err != nil {
			return err
		}
		return by.Audit(tx, before, recordHash(record))
	})
}

// apply puts what the spec has into a record, after checking it.
func (s *Spec) apply(record *store.Provider) error {
	if err := s.check(); err != nil {
		return err
	}
	if s.Tags != nil {
		record.Tags = s.Tags
	}
	if s.PublicNetworkAccess != nil {
		record.PublicNetworkAccess = *s.PublicNetworkAccess
	}
	if s.TPMAttestationAuthentication != nil {
		record.TPMAttestationAuthentication = *s.TPMAttestationAuthentication
	}
	if s.Settings != nil {
		record.Settings = s.Settings
	}
	return nil
}

// apply puts what somebody wants into the record, if it is sound.
func (r *Registry) apply(s *Spec, record *store.Provider) error {
	settings, err := ParseSettings(s.Settings)
	if err == nil {
		err = r.CheckSettings(settings)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return s.apply(record)
}

func (s *Spec) check() error {
	if err := s.checkPlace(); err != nil {
		return err
	}
	if err := s.checkTrust(); err != nil {
		return err
	}
	if len(s.Tags) > maxTags {
		return fmt.Errorf("%w: expected at most %d tags, found %d", ErrInvalid, maxTags, len(s.Tags))
	}
	for name, value := range s.Tags {
		if len(name) > maxTagName || len(value) > maxTagValue {
			return fmt.Errorf("%w: expected tags with names of at most %d bytes and values of at most %d, found %.40q", ErrInvalid, maxTagName, maxTagValue, name)
		}
	}
	for name, value := range map[string]*string{"publicNetworkAccess": s.PublicNetworkAccess, "tpmAttestationAuthentication": s.TPMAttestationAuthentication} {
		if value != nil {
			if err := checkAbled(name, *value); err != nil {
				return fmt.Errorf("%w: %w", ErrInvalid, err)
			}
		}
	}
	return checkSigners(s.Signers)
}

// checkSigners refuses certificates whose keys no policy can be signed with.
func checkSigners(ders [][]byte) error {
	if len(ders) > MaxSigners {
		return fmt.Errorf("%w: expected at most %d policy signing certificates, found %d", ErrInvalid, MaxSigners, len(ders))
	}
	certs, err := certificates(ders)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	for _, cert := range certs {
		algorithm, err := jose.For(cert.PublicKey)
		if err == nil {
			err = algorithm.Fits(cert.PublicKey)
		}
		if err != nil {
			return fmt.Errorf("%w: policy signing certificate %.60q: %w", ErrInvalid, cert.Subject.String(), err)
		}
	}
	return nil
}

// recordHash names a state of a provider's record in the audit trail.
func recordHash(p store.Provider) string {
	b, err := json.Marshal(struct {
		ID, Name, URL string
		Doc           store.Provider
	}{p.ID, p.Name, p.URL, p}, json.Deterministic(true))
	if err != nil {
		return "" // a record that cannot be written is not stored either
	}
	return hashOf(b)
}

// TrustModel is the provider's, as ARM names it.
func (i *Instance) TrustModel() string { return trustModel(i.Isolated) }

// OpenTPM reports whether /attest/Tpm is open to callers without a token (management.md section 4.4).
func (i *Instance) OpenTPM() bool {
	return cmp.Or(i.Settings.TPMAttestationAuthentication, i.TPMAttestationAuthentication) == disabled
}

// Private reports whether callers from public addresses are refused (management.md section 9).
func (i *Instance) Private() bool {
	return cmp.Or(i.Settings.PublicNetworkAccess, i.PublicNetworkAccess) == disabled
}

// OpenPolicies reports whether policies can be read without a token (api.md section 5).
func (i *Instance) OpenPolicies() bool {
	return i.Shared && !i.Settings.Strict || i.Settings.AnonymousPolicyRead && !i.Settings.Strict
}
