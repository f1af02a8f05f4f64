package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/enrol"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// enrolmentRoutes are those of the attestation CA (native.md section 4). Taking trust away is possible also of a provider that is not up to
// date.
func (s *Service) enrolmentRoutes() []route {
	op := func(name string, p auth.Permission, do func(context.Context, *request) (any, error)) operation {
		return operation{name: name, access: needs(p), policyBody: true, do: do}
	}
	revoke := op("RevokeAIKCertificate", auth.Write, s.revokeAIK)
	revoke.always = true
	const certificates, eks, aiks = "/assay/v1/aik/certificates", "/assay/v1/ek", "/assay/v1/aik/pins"
	routes := []route{
		{http.MethodPost, "/assay/v1/aik/challenges", op("ChallengeAIK", auth.Read, s.challengeAIK)},
		{http.MethodPost, certificates, op("EnrolAIK", auth.Read, s.enrolAIK)},
		{http.MethodGet, certificates, op("ListAIKCertificates", auth.Read, s.listAIKs)},
		{http.MethodGet, certificates + "/{id}", op("GetAIKCertificate", auth.Read, s.getAIK)},
		{http.MethodPost, certificates + "/{id}:revoke", revoke},
	}
	for _, p := range []struct {
		path, name string
		kind       store.PinKind
	}{{eks, "EK", store.PinnedEK}, {aiks, "AIK", store.PinnedAIK}} {
		unpin := op("Unpin"+p.name, auth.Write, s.unpin(p.kind))
		unpin.always = true
		one := p.path + "/{hash}"
		routes = append(routes, route{http.MethodGet, p.path, op("List"+p.name+"Pins", auth.Read, s.listPins(p.kind))},
			route{http.MethodPut, one, op("Pin"+p.name, auth.Write, s.pin(p.kind))}, route{http.MethodDelete, one, unpin})
	}
	return routes
}

// mustEnrol refuses what only a provider that enrols does.
func (r *request) mustEnrol() error {
	if !r.at.Settings.Enrols() {
		return refuse(http.StatusBadRequest, codeInvalidOperation,
			"The provider enrols no attestation keys: its setting aik_enrolment is off; its owner can set it to pinned or vendor.")
	}
	return nil
}

// challengeBody is what a TPM wants to have enrolled. Binary values are base64url, names are in lower case as strictjson folds them.
type challengeBody struct {
	EKCertificate string   `json:"ekcertificate"` // DER
	EKChain       []string `json:"ekchain"`       // DER each
	EKPublic      string   `json:"ekpublic"`      // TPMT_PUBLIC
	AIKPublic     string   `json:"aikpublic"`     // TPMT_PUBLIC
}

// challengeAnswer holds TPM2B structures for TPM2_ActivateCredential.
type challengeAnswer struct {
	Context         string    `json:"context"`
	CredentialBlob  string    `json:"credentialBlob"`
	EncryptedSecret string    `json:"encryptedSecret"`
	Expires         time.Time `json:"expires"`
}

// challengeAIK challenges a TPM to show that it has both keys.
func (s *Service) challengeAIK(ctx context.Context, r *request) (any, error) {
	if err := r.mustEnrol(); err != nil {
		return nil, err
	}
	k, err := readKeys(r.body)
	if err != nil {
		return nil, err
	}
	if err := k.aik.CheckAIK(); err != nil {
		return nil, err
	}
	if err := k.ek.CheckEK(); err != nil {
		return nil, err
	}
	candidate, err := s.candidate(ctx, r, k)
	if err != nil {
		return nil, err
	}
	c, err := s.Enroller.Challenge(candidate, k.ek, s.Clock())
	if err != nil {
		return nil, err
	}
	return challengeAnswer{c.Context, b64.URL(c.Credential.Blob), b64.URL(c.Credential.Secret), c.Expires.UTC()}, nil
}

// tpmKeys are the keys of a TPM as it sends them, parsed.
type tpmKeys struct {
	aik, ek     *tpm.Public
	certificate []byte // of the endorsement key; nil: none
	chain       [][]byte
}

func readKeys(body []byte) (k tpmKeys, err error) {
	var b challengeBody
	if err := strictjson.Folded(body, &b); err != nil {
		return k, bad("The request body cannot be read (expected one JSON object): %v.", err)
	}
	if len(b.EKChain) > tpm.MaxSentCertificates {
		return k, bad("The member \"ekChain\" has %d certificates, expected at most %d.", len(b.EKChain), tpm.MaxSentCertificates)
	}
	if k.ek, err = readPublic("ekPublic", b.EKPublic); err != nil {
		return k, err
	}
	if k.aik, err = readPublic("aikPublic", b.AIKPublic); err != nil {
		return k, err
	}
	if b.EKCertificate != "" {
		if k.certificate, err = binary("ekCertificate", b.EKCertificate); err != nil {
			return k, err
		}
	}
	for _, text := range b.EKChain {
		der, err := binary("ekChain", text)
		if err != nil {
			return k, err
		}
		k.chain = append(k.chain, der)
	}
	return k, nil
}

// binary reads a member in base64url that must be there.
func binary(member, text string) ([]byte, error) {
	if text == "" {
		return nil, bad("The member %q is missing: it holds base64url.", member)
	}
	b, err := b64.Decode(text)
	if err != nil {
		return nil, bad("The member %q is %v.", member, err)
	}
	return b, nil
}

func readPublic(member, text string) (*tpm.Public, error) {
	b, err := binary(member, text)
	if err != nil {
		return nil, err
	}
	return tpm.ParsePublic(b)
}

// candidate decides whether the endorsement key is one of a TPM that may enrol here: it is pinned, or certified by a maker of TPMs where the
// provider goes by that.
func (s *Service) candidate(ctx context.Context, r *request, k tpmKeys) (c enrol.Candidate, err error) {
	c = enrol.Candidate{ProviderID: r.at.ID, AIK: k.aik}
	if c.EK, err = tpm.HashKey(k.ek.Key); err != nil {
		return c, err
	}
	if c.Pinned, err = s.Providers.PinnedEK(ctx, r.at, c.EK); err != nil {
		return c, err
	}
	switch {
	case c.Pinned: // whatever certificate it has: its owner vouches for it
		return c, nil
	case r.at.Settings.AIKEnrolment != provider.EnrolVendor:
		return c, provider.NotPinned(c.EK)
	case k.certificate == nil:
		return c, evidence.Refuse(evidence.EKCertificate, "the endorsement key has no certificate and is not pinned").Want("ekCertificate", "none").
			Do("send the certificate from the TPM's NV memory or of its maker, or have the provider's owner pin the key with PUT /assay/v1/ek/" + c.EK.String())
	}
	c.Device, err = s.certified(k, c.EK)
	return c, err
}

// certified checks the certificate of an endorsement key.
func (s *Service) certified(k tpmKeys, ek tpm.KeyHash) (d enrol.Device, err error) {
	roots, err := s.EKRoots.WithIntermediates(k.chain)
	if err != nil {
		return d, err
	}
	cert, err := roots.VerifyEK(k.certificate, s.JudgedAt())
	if err != nil {
		return d, err
	}
	if hash, err := tpm.HashKey(cert.PublicKey); err != nil || hash != ek {
		return d, evidence.Refuse(evidence.EKCertificate, "the certificate is of another key than ekPublic").
			Want("a certificate of "+ek.String(), "one of "+hash.String()).Do("send the public area of the endorsement key that the certificate is of")
	}
	return enrol.DeviceOf(cert), nil
}

// enrolBody answers a challenge.
type enrolBody struct {
	Context string `json:"context"`
	Secret  string `json:"secret"`
}

// aikBody is a certificate on the wire.
type aikBody struct {
	ID          string    `json:"id"`
	Certificate string    `json:"certificate"`    // DER
	Chain       []string  `json:"chain,omitzero"` // DER: that of the CA
	NotAfter    time.Time `json:"notAfter"`
	AIK         string    `json:"aikHash,omitzero"`
	EK          string    `json:"ekHash,omitzero"`
	By          string    `json:"by,omitzero"`
	At          time.Time `json:"at,omitzero"`
	RevokedAt   time.Time `json:"revokedAt,omitzero"`
	RevokedBy   string    `json:"revokedBy,omitzero"`
	Reason      string    `json:"reason,omitzero"`
}

// enrolAIK certifies the attestation key of a TPM that has answered.
func (s *Service) enrolAIK(ctx context.Context, r *request) (any, error) {
	if err := r.mustEnrol(); err != nil {
		return nil, err
	}
	var b enrolBody
	if err := strictjson.Folded(r.body, &b); err != nil {
		return nil, bad("The request body cannot be read (expected {\"context\":…,\"secret\":…}): %v.", err)
	}
	secret, err := binary("secret", b.Secret)
	if err != nil {
		return nil, err
	}
	activated, err := s.Enroller.Activate(b.Context, secret, r.at.ID, s.Clock())
	if err != nil {
		return nil, err
	}
	if r.at.Settings.AIKEnrolment != provider.EnrolVendor {
		activated.Pinned = true // it has to be: the setting was changed in between
	}
	ca, err := s.Enroller.Authority(r.at.ID)
	if err != nil {
		return nil, err
	}
	c, err := s.Providers.Enrol(ctx, activated, ca, s.JudgedAt(), s.author(r))
	if err != nil {
		return nil, err
	}
	answer := aikBody{ID: c.ID, Certificate: b64.URL(c.Certificate), Chain: []string{b64.URL(ca.Certificate.Raw)}, NotAfter: c.NotAfter}
	return reply{status: http.StatusCreated, body: answer}, nil
}

func aikOf(c store.AIKCertificate) aikBody {
	return aikBody{
		ID: c.ID, Certificate: b64.URL(c.Certificate), NotAfter: c.NotAfter, AIK: c.AIK, EK: c.EK, By: c.Issued.By, At: c.Issued.At,
		RevokedAt: c.Revoked, RevokedBy: c.RevokedBy.By, Reason: c.Reason,
	}
}

// page is how much of a list is asked for: up to limit entries after one.
func (r *request) page() (after string, limit int, err error) {
	top, err := r.number("top", defaultPage)
	return r.query("after"), int(min(top, maxPage)), err
}

// listAIKs lists certificates by id: up to "top" of those after the id "after".
func (s *Service) listAIKs(ctx context.Context, r *request) (any, error) {
	after, limit, err := r.page()
	if err != nil {
		return nil, err
	}
	found, err := s.Providers.AIKCertificates(ctx, r.at, after, limit)
	if err != nil {
		return nil, err
	}
	list := []aikBody{}
	for _, c := range found {
		list = append(list, aikOf(c))
	}
	return map[string]any{"certificates": list}, nil
}

// getAIK answers one certificate.
func (s *Service) getAIK(ctx context.Context, r *request) (any, error) {
	c, err := s.Providers.AIKCertificate(ctx, r.at, r.params["id"])
	if err != nil {
		return nil, err
	}
	return aikOf(c), nil
}

// revokeAIK revokes a certificate, also while enrolment is off.
func (s *Service) revokeAIK(ctx context.Context, r *request) (any, error) {
	var b struct {
		Reason string `json:"reason"`
	}
	if len(r.body) > 0 {
		if err := strictjson.Folded(r.body, &b); err != nil {
			return nil, bad("The request body cannot be read (expected {\"reason\":\"…\"}): %v.", err)
		}
	}
	c, err := s.Providers.RevokeAIK(ctx, r.at, r.params["id"], b.Reason, s.author(r))
	if err != nil {
		return nil, err
	}
	return aikOf(c), nil
}

// pinBody is a pin on the wire.
type pinBody struct {
	Hash   string        `json:"hash"`
	Kind   store.PinKind `json:"kind"`
	Pinned bool          `json:"pinned"`
}

// pinEntry is a pin in a list.
type pinEntry struct {
	Hash string        `json:"hash"`
	Kind store.PinKind `json:"kind"`
	By   string        `json:"by"`
	At   time.Time     `json:"at"`
}

// listPins lists pins by hash: up to "top" of those after the hash "after".
func (s *Service) listPins(kind store.PinKind) func(context.Context, *request) (any, error) {
	return func(ctx context.Context, r *request) (any, error) {
		after, limit, err := r.page()
		if err != nil {
			return nil, err
		}
		found, err := s.Providers.Pins(ctx, r.at, kind, strings.ToLower(after), limit)
		if err != nil {
			return nil, err
		}
		list := []pinEntry{}
		for _, p := range found {
			list = append(list, pinEntry{p.Hash, p.Kind, p.Stamp.By, p.Stamp.At})
		}
		return map[string]any{"pins": list}, nil
	}
}

// pin pins a key: 201 of one that was not pinned before.
func (s *Service) pin(kind store.PinKind) func(context.Context, *request) (any, error) {
	return func(ctx context.Context, r *request) (any, error) {
		if err := r.mustEnrol(); err != nil {
			return nil, err
		}
		hash, err := provider.ParseKeyHash(r.params["hash"])
		if err != nil {
			return nil, err
		}
		added, err := s.Providers.Pin(ctx, r.at, kind, hash, s.author(r))
		if err != nil {
			return nil, err
		}
		status := http.StatusOK
		if added {
			status = http.StatusCreated
		}
		return reply{status: status, body: pinBody{hash.String(), kind, true}}, nil
	}
}

// unpin takes a pin away, also while enrolment is off.
func (s *Service) unpin(kind store.PinKind) func(context.Context, *request) (any, error) {
	return func(ctx context.Context, r *request) (any, error) {
		hash, err := provider.ParseKeyHash(r.params["hash"])
		if err != nil {
			return nil, err
		}
		if err := s.Providers.Unpin(ctx, r.at, kind, hash, s.author(r)); err != nil {
			return nil, err
		}
		return reply{status: http.StatusNoContent}, nil
	}
}
