package attreq

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// keyObject is a key of version 2 with what is said of it (tpm.md section 4).
type keyObject struct {
	name    string
	jwk     *jwk
	binding binding
	hash    hashName // of byQuote
	certified
	area *tpm.Public // of byCertify, once it was verified
}

// binding is what ties a key to a TPM.
type binding int

const (
	plain     binding = iota // nothing
	byQuote                  // the qualifying data of the quote
	byCertify                // the attestation key certifies it
)

// hashName is the hash of a binding by quote.
type hashName struct {
	name string
	alg  tpm.Alg
}

// certified is what TPM2_Certify gave.
type certified struct{ public, certification, signature []byte }

type keyJSON struct {
	Key  jsontext.Value `json:"jwk"`
	Info jsontext.Value `json:"info"`
}

type infoJSON struct {
	Quote   *quoteInfoJSON   `json:"tpm_quote,omitzero"`
	Certify *certifyInfoJSON `json:"tpm_certify,omitzero"`
}

type quoteInfoJSON struct {
	Hash string `json:"hash_alg"`
}

// certifyInfoJSON has the members of a request.
type certifyInfoJSON struct {
	Public        *string `json:"public"`
	Certification *string `json:"certification"`
	Signature     *string `json:"signature"`
}

// parseKey reads a key object.
func parseKey(check evidence.Check, name string, sent jsontext.Value) (*keyObject, error) {
	if !isObject(sent) {
		return nil, malformed("the member %s is no object", name)
	}
	var m keyJSON
	if err := strictjson.Exact(sent, &m); err != nil {
		return nil, malformed("the member %s cannot be read", name).Because(err)
	}
	k := &keyObject{name: name}
	var err error
	if k.jwk, err = parseJWK(check, name+".jwk", m.Key); err != nil {
		return nil, err
	}
	return k, k.readInfo(m.Info)
}

// readInfo reads what is said of the key.
func (k *keyObject) readInfo(sent jsontext.Value) error {
	if sent == nil || sent.Kind() == 'n' {
		return nil
	}
	var all map[string]jsontext.Value
	if err := strictjson.Exact(sent, &all); err != nil {
		return malformed("the member %s.info cannot be read", k.name).Because(err)
	}
	for member := range all {
		if member != "tpm_quote" && member != "tpm_certify" {
			return malformed("the member %s.info has %s, which is not supported", k.name, quoted(member)).Want("tpm_quote or tpm_certify", quoted(member))
		}
	}
	var m infoJSON
	if err := strictjson.Exact(sent, &m); err != nil {
		return malformed("the member %s.info cannot be read", k.name).Because(err)
	}
	switch {
	case m.Quote != nil && m.Certify != nil:
		return malformed("the member %s.info has tpm_quote and tpm_certify", k.name).Want("one of them", "both")
	case m.Quote != nil:
		return k.readQuote(m.Quote)
	case m.Certify != nil:
		return k.readCertify(m.Certify)
	}
	return nil
}

func (k *keyObject) readQuote(m *quoteInfoJSON) error {
	alg, ok := map[string]tpm.Alg{"sha-256": tpm.SHA256, "sha-384": tpm.SHA384, "sha-512": tpm.SHA512}[m.Hash]
	if !ok {
		return malformed("the member %s.info.tpm_quote.hash_alg is unknown", k.name).Want("sha-256, sha-384 or sha-512", quoted(m.Hash))
	}
	k.binding, k.hash = byQuote, hashName{m.Hash, alg}
	return nil
}

func (k *keyObject) readCertify(m *certifyInfoJSON) (err error) {
	at := k.name + ".info.tpm_certify."
	if k.public, err = needed(at+"public", m.Public, maxBinary); err != nil {
		return err
	}
	if k.certification, err = needed(at+"certification", m.Certification, maxBinary); err != nil {
		return err
	}
	k.certified.signature, err = needed(at+"signature", m.Signature, maxBinary)
	k.binding = byCertify
	return err
}

// extraData is what the qualifying data of the quote must be, by the binding of the key.
func (k *keyObject) extraData(challenge []byte) []byte {
	if k.binding == byQuote {
		return k.hash.alg.Sum(k.jwk.sent, []byte{0}, challenge)
	}
	return challenge
}

// policyKeyJSON is a key as policies and tokens have it.
type policyKeyJSON struct {
	Key  jsontext.Value  `json:"jwk"`
	Info *policyInfoJSON `json:"info,omitzero"`
}

type policyInfoJSON struct {
	Quote   *quoteInfoJSON  `json:"tpm_quote,omitzero"`
	Certify *policyAreaJSON `json:"tpm_certify,omitzero"`
}

type policyAreaJSON struct {
	NameAlg    uint16 `json:"name_alg"`
	Attributes uint32 `json:"obj_attr"`
	AuthPolicy string `json:"auth_policy,omitzero"`
}

// policyKey writes the key as policies and tokens have it, made anew of what was verified.
func (k *keyObject) policyKey() (jsontext.Value, error) {
	m := policyKeyJSON{Key: k.jwk.public}
	switch k.binding {
	case byQuote:
		m.Info = &policyInfoJSON{Quote: &quoteInfoJSON{k.hash.name}}
	case byCertify:
		m.Info = &policyInfoJSON{Certify: &policyAreaJSON{uint16(k.area.NameAlg), k.area.Attributes, b64.URL(k.area.AuthPolicy)}}
	}
	return json.Marshal(m)
}
