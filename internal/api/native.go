package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/keyring"
	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// The lists of versions come in pages.
const (
	defaultPage = 100
	maxPage     = 1000
)

// nativeRoutes are the operations that only this service has (docs/api.md).
func (s *Service) nativeRoutes() []route {
	op := func(name string, a access, do func(context.Context, *request) (any, error)) operation {
		return operation{name: name, access: a, policyBody: true, do: do}
	}
	listKeys, rotate := op("ListSigningKeys", needs(auth.Read), s.keys), op("RotateSigningKey", needs(auth.Manage), s.rotate)
	listKeys.always, rotate.always = true, true // a leaked key must go, whatever else cannot be read
	return []route{
		{http.MethodGet, "/assay/v1/policies/{type}/versions", op("ListPolicyVersions", needs(auth.Read), s.policyVersions)},
		{http.MethodGet, "/assay/v1/policies/{type}/versions/{version}", op("GetPolicyVersion", needs(auth.Read), s.policyVersion)},
		{http.MethodPost, "/assay/v1/policies/{type}:rollback", op("RollbackPolicy", needs(auth.Write), s.rollback)},
		{http.MethodGet, "/assay/v1/keys", listKeys},
		{http.MethodPost, "/assay/v1/keys:rotate", rotate},
	}
}

// versionBody is a version of a policy on the wire.
type versionBody struct {
	Version   int64     `json:"version"`
	Action    string    `json:"action"` // set, reset, rollback
	Of        int64     `json:"of,omitzero"`
	Hash      string    `json:"policyHash,omitzero"`
	TokenHash string    `json:"policyTokenHash,omitzero"`
	Signer    string    `json:"signer,omitzero"` // thumbprint
	By        string    `json:"by"`
	At        time.Time `json:"at"`
	RequestID string    `json:"requestId,omitzero"`
	JWS       string    `json:"policy,omitzero"`
}

func versionOf(p store.Policy) versionBody {
	return versionBody{p.Version, p.Action, p.Of, p.Hash, p.TokenHash, p.Signer, p.Stamp.By, p.Stamp.At, p.Stamp.RequestID, p.JWS}
}

// policyVersions lists the versions of a policy, newest first: up to "top" of those below version "below".
func (s *Service) policyVersions(ctx context.Context, r *request) (any, error) {
	t, err := policyType(r.params["type"])
	if err != nil {
		return nil, err
	}
	below, err := r.number("below", 1<<62)
	if err != nil {
		return nil, err
	}
	top, err := r.number("top", defaultPage)
	if err != nil {
		return nil, err
	}
	history, err := s.Providers.History(ctx, r.at, t, below, int(min(top, maxPage)))
	if err != nil {
		return nil, err
	}
	list := []versionBody{}
	for _, p := range history {
		list = append(list, versionOf(p))
	}
	return map[string]any{"attestationType": t, "current": r.at.Policy(t).Version, "versions": list}, nil
}

// number reads a positive number of the query.
func (r *request) number(name string, usual int64) (int64, error) {
	text := r.query(name)
	if text == "" {
		return usual, nil
	}
	return positive(name, text)
}

func positive(name, text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, bad("%s: expected a positive number, found %q.", name, shorten(text, maxQuoted))
	}
	return n, nil
}

// policyVersion answers one version with its policy.
func (s *Service) policyVersion(ctx context.Context, r *request) (any, error) {
	t, err := policyType(r.params["type"])
	if err != nil {
		return nil, err
	}
	n, err := positive("version", r.params["version"])
	if err != nil {
		return nil, err
	}
	p, err := s.Providers.Version(ctx, r.at, t, n)
	if err != nil {
		return nil, err
	}
	return versionOf(*p), nil
}

// rollback puts an older version of a policy in force again.
func (s *Service) rollback(ctx context.Context, r *request) (any, error) {
	t, err := policyType(r.params["type"])
	if err != nil {
		return nil, err
	}
	var body struct {
		Version int64 `json:"version"`
	}
	if err := strictjson.Folded(r.body, &body); err != nil {
		return nil, bad("The request body cannot be read (expected {\"version\":N}): %v.", err)
	}
	if body.Version < 1 {
		return nil, bad("The member \"version\" must be the number of the version to go back to.")
	}
	p, err := s.Providers.Rollback(ctx, r.at, t, body.Version, s.author(r))
	if err != nil {
		return nil, err
	}
	return versionOf(*p), nil
}

// keyBody is a signing key on the wire.
type keyBody struct {
	KeyID       string    `json:"kid"`
	ReportKeyID string    `json:"reportKid"`
	From        time.Time `json:"signsFrom"`
	Until       time.Time `json:"signsUntil,omitzero"`
	NotAfter    time.Time `json:"notAfter"` // of its certificates
}

// keys lists the signing keys of the provider: the one in use, those to come, and those whose tokens still live.
func (s *Service) keys(_ context.Context, r *request) (any, error) {
	list := []keyBody{}
	for _, k := range r.at.Keys.Published() {
		list = append(list, keyBody{k.KeyID, k.ReportKeyID, k.From, k.Until, k.NotAfter})
	}
	return map[string]any{"keys": list, "current": r.at.Keys.KeyID(s.Clock())}, nil
}

// rotation chooses how to rotate: with a key that signs when relying parties have had the time to learn of it; with the query
// parameter emergency=true with one that signs at once; and with withdraw=true the others are taken away, too.
func (s *Service) rotation(r *request) func(context.Context, string, keyring.Record) (keyring.Change, error) {
	switch {
	case strings.EqualFold(r.query("withdraw"), "true"):
		return s.Keys.Replace
	case strings.EqualFold(r.query("emergency"), "true"):
		return s.Keys.RotateAtOnce
	}
	return s.Keys.Rotate
}

// rotate makes the next signing key. Each key that comes or goes is a row of the audit trail.
func (s *Service) rotate(ctx context.Context, r *request) (any, error) {
	author := s.author(r)
	_, err := s.rotation(r)(ctx, r.at.ID, func(tx *store.Tx, c keyring.Change) error {
		for _, id := range c.Dropped {
			if err := author.Audit(tx, id, ""); err != nil {
				return err
			}
		}
		return author.Audit(tx, r.at.Keys.KeyID(author.At), c.Added[0].ID)
	})
	if err != nil {
		return nil, err
	}
	if err := s.Providers.Refresh(ctx); err != nil {
		return nil, err
	}
	if now, ok := s.Providers.ByID(r.at.ID); ok {
		r.at = now
	}
	return s.keys(ctx, r)
}
