// Package assaytest lets anybody attest without hardware. It simulates Intel: the root, the certification authorities,
// the TCB signer, one SGX platform with its quoting enclave, and the Provisioning Certification Service that hands out
// collateral. It simulates a maker of TPMs, too: the authorities for its keys, and one machine that boots, quotes its PCRs and makes
// requests of the TPM protocol; and AMD, whose chips report on SEV-SNP guests, with its key distribution service. On top of these it simulates Azure:
// a host with the paravisor that gives a guest its vTPM ([AzureHost]), and the metadata service ([IMDS]). What it makes has the shape and the names of the real thing (sgx-tdx.md sections 2, 4, 5 and 6), so that
// a verifier which is given the simulated root checks it by the very code that checks real evidence.
//
// Two sources of keys exist. [NewIntel], [NewAMD] and [NewTPMVendor] draw fresh ones and suit tests. [WellKnownIntel], [WellKnownAMD] and
// [WellKnownTPMVendor] derive their keys from a string that is printed in this package, so that evidence written by one process is accepted by another in
// development mode. EVERYBODY HAS THE PRIVATE KEYS OF THE WELL-KNOWN VENDORS: anyone can make them vouch for anything. They
// must never be trusted roots outside development mode. [WellKnownAzureHost] and [NewAzureHost] are made of these vendors.
//
// A [Scenario], [AMDScenario], [TPMScenario] or [AzureScenario] holds all that goes into one attestation and is sound unless changed. [Faults],
// [AMDFaults], [TPMFaults] and [AzureFaults] list changes that break exactly one thing, each with the check that must find it.
//
// The package makes evidence and endorsements; it verifies nothing, and no verifier of this module uses it.
package assaytest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"
)

// Role names a holder of a key in the simulated Intel. All but [QuotingEnclave] have a certificate (sgx-tdx.md section 4.1).
type Role string

// The holders of keys.
const (
	Root           Role = "root CA"
	ProcessorCA    Role = "PCK processor CA"
	PlatformCA     Role = "PCK platform CA"
	TCBSigning     Role = "TCB signing"
	PCK            Role = "PCK"             // the platform; its key signs the report of the quoting enclave
	QuotingEnclave Role = "quoting enclave" // its key is the attestation key, which signs quotes
	ForgedPCK      Role = "forged PCK"      // a PCK certificate issued by PCK, which is no CA: an attack
)

// Certificate is the part of a scenario that is the DER certificate of r.
func (r Role) Certificate() Part { return Part(r + " certificate") }

// Intel is a simulated Intel: one P-256 key for each role. It never changes and is safe for concurrent use.
type Intel struct {
	keys map[Role]keyPair
}

type keyPair struct {
	private *ecdsa.PrivateKey
	public  []byte // X ‖ Y, 64 bytes big-endian, as quotes carry it
}

// wellKnownSeed is published on purpose; see the package comment.
const wellKnownSeed = "assay: simulated Intel, keys known to everybody, for development only"

// WellKnownIntel returns the simulated Intel that development mode trusts. It is the same in every process and its
// private keys are PUBLIC: trusting it outside development mode is trusting everybody.
func WellKnownIntel() *Intel { return newIntel(wellKnownSeed) }

// NewIntel returns a simulated Intel with keys of its own that no other process has.
func NewIntel() *Intel { return newIntel(rand.Text()) }

func newIntel(seed string) *Intel {
	keys := make(map[Role]keyPair)
	for _, r := range []Role{Root, ProcessorCA, PlatformCA, TCBSigning, PCK, QuotingEnclave, ForgedPCK} {
		keys[r] = deriveKey(seed + "/" + string(r))
	}
	return &Intel{keys: keys}
}

// deriveKey takes as private scalar the first of SHA-256(label ‖ 0x00), SHA-256(label ‖ 0x01), … that is in range for
// P-256. All but one in 2^32 digests are.
func deriveKey(label string) keyPair {
	for i := byte(0); ; i++ {
		scalar := sha256.Sum256(append([]byte(label), i))
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar[:])
		if err != nil {
			continue
		}
		if point, err := key.PublicKey.Bytes(); err == nil {
			return keyPair{private: key, public: point[1:]} // without the 0x04 of an uncompressed point
		}
	}
}

// RootPEM returns the root certificate in PEM: what a verifier has to trust to accept evidence made by in.
func (in *Intel) RootPEM() ([]byte, error) {
	return in.Scenario(time.Time{}).chain(in, Root)
}

// Quote returns a version 3 quote of enclave by the simulated platform, up to date at [StandardEvaluation]. Use a
// [Scenario] for any other.
func (in *Intel) Quote(enclave SGX) ([]byte, error) {
	s := in.Scenario(time.Time{})
	s.Enclave = enclave
	return s.Quote()
}

// Collateral returns what a verifier needs beside a quote of the simulated platform, valid at the time at and issued
// for [StandardEvaluation]. Use a [Scenario] for any other.
func (in *Intel) Collateral(at time.Time) (Collateral, error) {
	return in.Scenario(at).Collateral()
}

// publicKey returns a copy of the public key of r as quotes carry it.
func (in *Intel) publicKey(r Role) []byte { return bytes.Clone(in.keys[r].public) }

// sign returns the ECDSA signature over the SHA-256 of message as quotes and collateral carry it: r ‖ s, 64 bytes
// big-endian (sgx-tdx.md section 1). Without a source of randomness it is made as RFC 6979 says: the same input gives
// the same bytes.
func sign(key *ecdsa.PrivateKey, message []byte) ([]byte, error) {
	digest := sha256.Sum256(message)
	der, err := key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return nil, fmt.Errorf("reading the signature just made: %w", err)
	}
	raw := make([]byte, 64)
	sig.R.FillBytes(raw[:32])
	sig.S.FillBytes(raw[32:])
	return raw, nil
}
