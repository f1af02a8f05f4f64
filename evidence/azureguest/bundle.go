package azureguest

import (
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/hcl"
	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// Bounds of the members of a bundle in bytes, once decoded. The log's is a limit that can be set. What they hold is bounded again by whoever reads it.
const (
	maxText        = 256            // OSType, OSDistro, OSBuild
	maxVersionText = 32             // OSVersionMajor and OSVersionMinor as strings
	maxVersion     = 1<<31 - 1      // of an operating system, as a number
	maxCertificate = 16 << 10       // AikCert: NV indices have up to 4 KB, PEM takes a third more
	maxPublicArea  = 2 + 2048       // AikPub, EncKeyPub
	maxAttestation = 1024           // PcrQuote, EncKeyCertifyInfo
	maxSignature   = 1024           // of both: RSA of 8192 bits
	maxProof       = snp.MaxRequest // real ones have 10 KB
	maxRuntimeData = hcl.MaxSize    // real ones have 1.2 KB
	maxPayload     = 64 << 10       // ClientPayload, as sent
)

// Isolation says what keeps a guest apart from its host.
type Isolation string

// The values of IsolationInfo.Type.
const (
	TrustedLaunch Isolation = "TrustedLaunch"
	SevSnp        Isolation = "SevSnp"
	Tdx           Isolation = "Tdx"
)

// Limits bound what is read (README.md section 7).
type Limits struct {
	Log   eventlog.Limits
	Depth int // sipa_depth
}

// Bundle is the content of AttestationInfo, parsed; nothing of it is believed (azure-guest.md section 2).
type Bundle struct {
	Version     string // AttestationProtocolVersion: "2.0" or "3.0"
	Isolation   Isolation
	Proof       []byte         // IsolationInfo.Evidence.Proof: the JSON of a SEV-SNP request (package snp) or a TDX quote; nil for TrustedLaunch
	RuntimeData []byte         // exactly as it was hashed; nil for TrustedLaunch
	Payload     jsontext.Value // ClientPayload as sent: an object, or a string that is not empty; nil: none

	os     system
	log    []byte // TcgLogs; empty: none
	vtpm   vtpm
	limits Limits
}

// system is what a guest says of its operating system.
type system struct {
	kind, distro, build string // OSType, OSDistro, OSBuild, decoded; empty: not sent
	major, minor        int64  // OSVersionMajor, OSVersionMinor
}

// vtpm is TpmInfo.
type vtpm struct {
	certificate                  []byte // AikCert; empty: none
	aik, sealing                 []byte // TPM2B_PUBLIC
	quote, quoteSignature        []byte
	certification, certSignature []byte
	pcrs                         tpm.Bank // those of PcrSet and no others
}

// Parse reads AttestationInfo, decoded (azure-guest.md section 2): JSON whose member names are matched without regard to case, but for what ClientPayload
// holds, with every binary member in base64 or base64url, padded or not. The result keeps no part of b. The error is an [evidence.Refusal] of
// GuestRequest, GuestProtocol, IsolationType or PCRSelection.
func Parse(b []byte, l Limits) (*Bundle, error) {
	out := &Bundle{limits: l}
	r, err := newReader(b)
	if err != nil {
		return nil, err
	}
	for _, read := range []func(*reader) *evidence.Refusal{out.readProtocol, out.readIsolation, out.readPayload, out.readSystem, out.readLog, out.readTPM} {
		if refused := read(r); refused != nil {
			return nil, refused
		}
	}
	return out, nil
}

// readProtocol reads the version, on which depends what all else means.
func (b *Bundle) readProtocol(r *reader) *evidence.Refusal {
	b.Version = r.text("AttestationProtocolVersion")
	if r.refused == nil && b.Version != "2.0" && b.Version != "3.0" {
		return evidence.Refuse(evidence.GuestProtocol, "the version of the protocol is not one that is read").Want(`"2.0" or "3.0"`, shown(b.Version)).
			Do("use a client that speaks version 2.0")
	}
	return r.refused
}

// readIsolation reads IsolationInfo.
func (b *Bundle) readIsolation(r *reader) *evidence.Refusal {
	var in struct {
		Type     Isolation `json:"type"`
		Evidence struct {
			Proof       string `json:"proof"`
			RuntimeData string `json:"runtimedata"`
		} `json:"evidence"`
	}
	r.into("IsolationInfo", &in)
	b.Proof = r.decode("IsolationInfo.Evidence.Proof", in.Evidence.Proof, maxProof)
	b.RuntimeData = r.decode("IsolationInfo.Evidence.RunTimeData", in.Evidence.RuntimeData, maxRuntimeData)
	b.Isolation = in.Type
	if r.refused != nil {
		return r.refused
	}
	return b.checkIsolation()
}

// checkIsolation refuses a type that is not known, and evidence that is missing or that nobody would look at.
func (b *Bundle) checkIsolation() *evidence.Refusal {
	const whole = "send IsolationInfo.Type with IsolationInfo.Evidence of that type, and no evidence for TrustedLaunch"
	found := "no evidence"
	switch {
	case len(b.Proof) > 0 && len(b.RuntimeData) > 0:
		found = "Proof and RunTimeData"
	case len(b.Proof) > 0:
		found = "Proof only"
	case len(b.RuntimeData) > 0:
		found = "RunTimeData only"
	}
	switch b.Isolation {
	case SevSnp, Tdx:
		if len(b.Proof) == 0 || len(b.RuntimeData) == 0 {
			return evidence.Refuse(evidence.IsolationType, "the evidence of the isolation is not complete").Want("Proof and RunTimeData", found).Do(whole)
		}
	case TrustedLaunch:
		if len(b.Proof) > 0 || len(b.RuntimeData) > 0 {
			return evidence.Refuse(evidence.IsolationType, "evidence of a confidential VM came with the type of one that is not").Want("no evidence", found).Do(whole)
		}
		b.Proof, b.RuntimeData = nil, nil
	default:
		return evidence.Refuse(evidence.IsolationType, "the type of the isolation is not known").Want("SevSnp, Tdx or TrustedLaunch", shown(string(b.Isolation))).Do(whole)
	}
	return nil
}

// readPayload reads ClientPayload, which goes into the token, two levels deep.
func (b *Bundle) readPayload(r *reader) *evidence.Refusal {
	raw := r.members["clientpayload"]
	if len(raw) == 0 || raw.Kind() == 'n' || string(raw) == `""` {
		return nil
	}
	if len(raw) > maxPayload {
		return tooLong("ClientPayload", maxPayload, len(raw))
	}
	if k := raw.Kind(); k != '{' && k != '"' {
		return badRequest("the member ClientPayload is neither an object nor a string").Want("an object", k)
	}
	if err := strictjson.Check(slices.Concat([]byte(`{"x-ms-runtime":{"client-payload":`), raw, []byte(`}}`))); err != nil {
		return badRequest("the member ClientPayload nests too deep to stand in a token").Because(err)
	}
	b.Payload = raw
	return nil
}

// readSystem reads what the guest says of its operating system.
func (b *Bundle) readSystem(r *reader) *evidence.Refusal {
	b.os = system{
		kind: r.encodedText("OSType"), distro: r.encodedText("OSDistro"), build: r.encodedText("OSBuild"),
		major: r.version("OSVersionMajor"), minor: r.version("OSVersionMinor"),
	}
	return r.refused
}

// readLog reads TcgLogs.
func (b *Bundle) readLog(r *reader) *evidence.Refusal {
	b.log = r.decode("TcgLogs", r.text("TcgLogs"), b.limits.Log.Size)
	return r.refused
}

// tpmInfo is TpmInfo as it is sent.
type tpmInfo struct {
	Certificate            string  `json:"aikcert"`
	AIK                    string  `json:"aikpub"`
	Quote                  string  `json:"pcrquote"`
	QuoteSignature         string  `json:"pcrsignature"`
	Sealing                string  `json:"enckeypub"`
	Certification          string  `json:"enckeycertifyinfo"`
	CertificationSignature string  `json:"enckeycertifyinfosignature"`
	PCRSet                 []int64 `json:"pcrset"`
	PCRs                   []struct {
		Index  *int64 `json:"index"`
		Digest string `json:"digest"`
	} `json:"pcrs"`
}

// readTPM reads TpmInfo.
func (b *Bundle) readTPM(r *reader) *evidence.Refusal {
	var in tpmInfo
	r.into("TpmInfo", &in)
	b.vtpm = vtpm{
		certificate:   r.decode("TpmInfo.AikCert", in.Certificate, maxCertificate),
		aik:           r.needed("TpmInfo.AikPub", in.AIK, maxPublicArea),
		quote:         r.needed("TpmInfo.PcrQuote", in.Quote, maxAttestation),
		sealing:       r.needed("TpmInfo.EncKeyPub", in.Sealing, maxPublicArea),
		certification: r.needed("TpmInfo.EncKeyCertifyInfo", in.Certification, maxAttestation),

		quoteSignature: r.needed("TpmInfo.PcrSignature", in.QuoteSignature, maxSignature),
		certSignature:  r.needed("TpmInfo.EncKeyCertifyInfoSignature", in.CertificationSignature, maxSignature),
	}
	if r.refused != nil {
		return r.refused
	}
	return b.vtpm.readPCRs(&in)
}

// readPCRs reads the values of PCRs, by their index in any order, which must be those of PcrSet.
func (v *vtpm) readPCRs(in *tpmInfo) *evidence.Refusal {
	if len(in.PCRs) > tpm.PCRCount || len(in.PCRSet) > tpm.PCRCount {
		return badPCRs("more PCRs came along than a PC has").Want(fmt.Sprintf("at most %d", tpm.PCRCount), max(len(in.PCRs), len(in.PCRSet)))
	}
	var named [tpm.PCRCount]bool
	for _, index := range in.PCRSet {
		if index < 0 || index >= tpm.PCRCount || named[index] {
			return badPCRs("PcrSet does not name PCRs, each once").Want("different numbers from 0 to 23", fmt.Sprint(in.PCRSet))
		}
		named[index] = true
	}
	v.pcrs.Alg = tpm.SHA256
	for _, p := range in.PCRs {
		if r := v.readPCR(p.Index, p.Digest); r != nil {
			return r
		}
	}
	for i, value := range v.pcrs.Values {
		if named[i] != (value != nil) {
			return badPCRs("PcrSet and PCRs are of different PCRs").Want(fmt.Sprintf("PCR %d in both or in none", i), fmt.Sprintf("PcrSet: %t, PCRs: %t", named[i], value != nil))
		}
	}
	return nil
}

// readPCR reads one value.
func (v *vtpm) readPCR(index *int64, digest string) *evidence.Refusal {
	if index == nil || *index < 0 || *index >= tpm.PCRCount {
		return badPCRs("an element of PCRs has no number of a PCR").Want("Index from 0 to 23", "none")
	}
	if v.pcrs.Values[*index] != nil {
		return badPCRs("PCRs has two values of one PCR").Want("each once", fmt.Sprintf("PCR %d twice", *index))
	}
	value, r := decode("TpmInfo.PCRs.Digest", digest, tpm.SHA256.Size())
	if r != nil {
		return r
	}
	if len(value) != tpm.SHA256.Size() {
		return badPCRs(fmt.Sprintf("the value of PCR %d is not one of SHA-256", *index)).Want("32 bytes", len(value))
	}
	v.pcrs.Values[*index] = value
	return nil
}

func badPCRs(problem string) *evidence.Refusal {
	return evidence.Refuse(evidence.PCRSelection, "%s", problem).Do("send in PcrSet the numbers of the quoted PCRs, and in PCRs their values of the SHA-256 bank")
}
