package assaytest

import (
	"crypto"
	"crypto/rsa"
	"time"
)

// AzureDialect is the client whose form a request has (azure-guest.md section 2).
type AzureDialect int

// The dialects.
const (
	AzureCpp    AzureDialect = iota // Azure's C++ client: standard base64, nothing in the qualifying data
	AzureGo                         // go-azguestattestation: standard base64, the nonce in the qualifying data of the quote
	AzurePython                     // Azure's Python tool: base64url, numbers as strings, a payload of JSON
)

// AzureDialects returns all dialects.
func AzureDialects() []AzureDialect { return []AzureDialect{AzureCpp, AzureGo, AzurePython} }

// String names the dialect.
func (d AzureDialect) String() string { return [...]string{"C++", "Go", "Python"}[d] }

// Keys of a simulated vTPM, made in software. All are RSA.
const (
	VTPMAK         TPMRole = "vTPM AK"
	VTPMSealingKey TPMRole = "vTPM sealing key" // what tokens are encrypted to
)

// AzureScenario is all that goes into one request to /attest/AzureGuest (azure-guest.md section 2): an Azure guest, its vTPM in software, and
// the host that vouches for it. The zero value is sound: a Linux with secure boot in a SEV-SNP guest of the well-known vendors, attested by
// Azure's C++ client. Change fields and call [AzureScenario.Body]; the result is determined by the fields.
type AzureScenario struct {
	Host    *AzureHost // nil: one of the well-known vendors, with SEV-SNP
	Dialect AzureDialect
	Version string   // AttestationProtocolVersion; empty stands for 2.0
	Boot    *TPMBoot // nil: [SoundAzureBoot]
	NoLog   bool     // the log is sent empty

	Nonce []byte // in ClientPayload, but not in the Python dialect; nil stands for a usual one
	// Fresh puts the nonce into the qualifying data of quote and certification whatever the dialect.
	Fresh    bool
	Payload  string // ClientPayload, JSON, instead of that of the dialect
	UserData [64]byte
	Quoted   []int // PCRs; nil stands for those of the dialect: 0 to 7, with Windows 11 to 14, too

	Edit AzureEdits // supersedes the host's
}

// SoundAzureBoot is the boot of an Azure guest: with secure boot, of Linux or Windows.
func SoundAzureBoot(windows bool) TPMBoot { return TPMBoot{SecureBoot: true, Windows: windows} }

// Scenario returns a sound scenario on the host.
func (h *AzureHost) Scenario() *AzureScenario { return &AzureScenario{Host: h.clone()} }

// host is the host with the scenario's hooks.
func (s *AzureScenario) host() *AzureHost {
	h := s.Host
	if h == nil {
		h = WellKnownAzureHost(AzureSevSnp, time.Time{})
	}
	h = h.clone()
	if e := s.Edit; e.Bytes != nil || e.Certificate != nil || e.Signer != nil || e.ExtraData != nil || e.PublicArea != nil {
		h.Edit = e
	}
	return h
}

func (s *AzureScenario) boot() TPMBoot {
	if s.Boot == nil {
		return SoundAzureBoot(false)
	}
	return *s.Boot
}

func (s *AzureScenario) nonce() []byte {
	if s.Nonce == nil {
		return []byte("simulated nonce")
	}
	return s.Nonce
}

// AK returns the attestation key.
func (s *AzureScenario) AK() *rsa.PrivateKey { return s.host().vtpmKey(VTPMAK) }

// SealingKey returns the key that the token is encrypted to.
func (s *AzureScenario) SealingKey() *rsa.PrivateKey { return s.host().vtpmKey(VTPMSealingKey) }

// vtpmKey is the key of r, made in software.
func (h *AzureHost) vtpmKey(r TPMRole) *rsa.PrivateKey {
	key, ok := h.TPM.Key(r, RSA2048).(*rsa.PrivateKey)
	if !ok {
		return nil // cannot be: the kind is RSA
	}
	return key
}

// azureMachine is the vTPM of a scenario after the boot.
type azureMachine struct {
	*AzureScenario
	host   *AzureHost
	log    []byte
	values TPMValues
	quoted []int
}

// machine boots the guest.
func (s *AzureScenario) machine() (*azureMachine, error) {
	m := &azureMachine{AzureScenario: s, host: s.host(), quoted: s.Quoted}
	boot := s.boot()
	log, err := boot.Log(m.host.TPM)
	if err != nil {
		return nil, err
	}
	if m.values = log.Replay(crypto.SHA256); !s.NoLog {
		m.log = log.Bytes()
	}
	m.log = m.host.edit(AzureLog, m.log)
	if m.quoted == nil {
		m.quoted = PCRRange(0, 7)
		if boot.Windows {
			m.quoted = append(m.quoted, PCRRange(11, 14)...)
		}
	}
	return m, nil
}
