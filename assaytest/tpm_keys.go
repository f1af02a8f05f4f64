package assaytest

import (
	"crypto"
	"encoding/base64"
	"fmt"
)

// binding is the qualifying data of the current quote: the challenge, or a hash over it and the request key (tpm.md section 4).
func (s *TPMScenario) binding(key, challenge []byte) ([]byte, error) {
	if s.Binding != BoundByQuote {
		return challenge, nil
	}
	h, err := s.bindingHash()
	if err != nil {
		return nil, err
	}
	return hashOf(h, key, []byte{0}, challenge), nil
}

func (s *TPMScenario) bindingHash() (crypto.Hash, error) {
	switch s.HashAlg {
	case "sha-256":
		return crypto.SHA256, nil
	case "sha-384":
		return crypto.SHA384, nil
	case "sha-512":
		return crypto.SHA512, nil
	}
	return 0, fmt.Errorf("no hash %q", s.HashAlg)
}

// requestKey is the key object of the request key.
func (s *TPMScenario) requestKey(key, challenge []byte) ([]byte, error) {
	var info []byte
	var err error
	switch s.Binding {
	case BoundByQuote:
		info = object(member{"tpm_quote", object(member{"hash_alg", text(s.HashAlg)})})
	case BoundByCertify:
		if info, err = s.certified(RequestKey, RSA2048, challenge); err != nil {
			return nil, err
		}
	}
	return s.edit(TPMRequestKey, object(member{"jwk", key}, member{"info", info})), nil
}

// certified is the info of a key that the AIK certifies.
func (s *TPMScenario) certified(r TPMRole, kind TPMKeyKind, challenge []byte) ([]byte, error) {
	area, err := publicArea(s.Vendor.Key(r, kind).Public(), keyAttributes())
	if err != nil {
		return nil, err
	}
	area = s.edit(TPMPublicArea, area)
	attest, err := s.certificationOf(area, s.extraData(TPMCertification, challenge))
	if err != nil {
		return nil, err
	}
	attest = s.edit(TPMCertification, attest)
	sig, err := tpmSign(s.signer(TPMCertification, s.aik(&s.Current)), s.AIKScheme, attest)
	if err != nil {
		return nil, err
	}
	sig = s.edit(TPMCertificationSignature, sig)
	return object(member{"tpm_certify", object(member{"public", binaryText(area)},
		member{"certification", binaryText(attest)}, member{"signature", binaryText(sig)})}), nil
}

// otherKeys are the key objects beside the request key.
func (s *TPMScenario) otherKeys(challenge []byte) ([]byte, error) {
	if s.OtherKeys == nil {
		return nil, nil
	}
	var keys [][]byte
	for i, k := range s.OtherKeys {
		r := OtherKey + TPMRole(fmt.Sprint(" ", i))
		key, err := jwk(s.public(r, s.Vendor.Key(r, k.Kind)))
		if err != nil {
			return nil, err
		}
		var info []byte
		if k.Certified {
			if info, err = s.certified(r, k.Kind, challenge); err != nil {
				return nil, err
			}
		}
		keys = append(keys, object(member{"jwk", key}, member{"info", info}))
	}
	return array(keys), nil
}

// Init is the text of the member data in message 1, which asks for a challenge (tpm.md section 2).
func (s *TPMScenario) Init() string {
	return s.data(object(member{"type", text("aikcert")}))
}

// Data is the text of the member data in message 3, which carries the JWS of a request.
func (s *TPMScenario) Data(request string) string {
	return s.data(object(member{"request", text(request)}))
}

func (s *TPMScenario) data(message []byte) string {
	if !s.Bare {
		message = object(member{"payload", message})
	}
	return base64.RawURLEncoding.EncodeToString(message)
}
