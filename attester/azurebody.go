package attester

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"maps"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/internal/b64"
)

// azureNonceName is the member of the payload that has the nonce.
const azureNonceName = "nonce"

// azureInfo is AttestationInfo as Go's client writes it (azure-guest.md section 2). Bytes are base64 with padding.
type azureInfo struct {
	Protocol  string         `json:"AttestationProtocolVersion"`
	OSType    []byte         `json:"OSType"`
	OSDistro  []byte         `json:"OSDistro"`
	OSMajor   int            `json:"OSVersionMajor"`
	OSMinor   int            `json:"OSVersionMinor"`
	OSBuild   []byte         `json:"OSBuild"`
	Logs      []byte         `json:"TcgLogs"`
	Payload   jsontext.Value `json:"ClientPayload"`
	TPM       azureTPMInfo   `json:"TpmInfo"`
	Isolation azureIsolation `json:"IsolationInfo"`
}

type azureTPMInfo struct {
	Certificate      []byte     `json:"AikCert"`
	AK               []byte     `json:"AikPub"` // TPM2B_PUBLIC
	Quote            []byte     `json:"PcrQuote"`
	Signature        []byte     `json:"PcrSignature"` // bare
	Key              []byte     `json:"EncKeyPub"`    // TPM2B_PUBLIC
	Certify          []byte     `json:"EncKeyCertifyInfo"`
	CertifySignature []byte     `json:"EncKeyCertifyInfoSignature"` // bare
	Set              []int      `json:"PcrSet"`
	PCRs             []azurePCR `json:"PCRs"`
}

type azurePCR struct {
	Index  int    `json:"Index"`
	Digest []byte `json:"Digest"`
}

type azureIsolation struct {
	Type     azureguest.Isolation `json:"Type"`
	Evidence *azureEvidence       `json:"Evidence,omitzero"`
}

type azureEvidence struct {
	Proof       []byte `json:"Proof"`
	RuntimeData []byte `json:"RunTimeData"`
}

// request writes the request.
func (c *azureCollection) request() (*AzureRequest, error) {
	key, err := c.key.publicRSA()
	if err != nil {
		return nil, err
	}
	r := &AzureRequest{
		Isolation: c.hardware.isolation, Nonce: c.nonce, Key: key, PCRs: c.pcrs, values: c.quoted.values[0], saved: c.saved, name: c.key.name,
	}
	if c.log == nil {
		r.Warnings = append(r.Warnings, "the event log is empty: nothing explains the PCRs, and the service will say secureboot false and its like")
	}
	r.Info, err = c.info()
	return r, err
}

// info writes AttestationInfo.
func (c *azureCollection) info() ([]byte, error) {
	machine, err := c.tpmInfo()
	if err != nil {
		return nil, err
	}
	info := azureInfo{Protocol: or(c.options.Protocol, "2.0"), Logs: c.logBytes, TPM: *machine, Isolation: azureIsolation{Type: c.hardware.isolation}}
	readSystem(c.options.Logs.Root).describe(&info)
	if c.hardware.container != nil {
		info.Isolation.Evidence = &azureEvidence{c.proof, c.hardware.container.RuntimeData}
	}
	if info.Payload, err = c.payload(); err != nil {
		return nil, err
	}
	b, err := json.Marshal(info)
	if err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	return b, nil
}

func (c *azureCollection) tpmInfo() (*azureTPMInfo, error) {
	quote, err := tpm2.Unmarshal[tpm2.TPMTSignature](c.quoted.signature)
	if err != nil {
		return nil, failed("quoting the PCRs", err)
	}
	info := &azureTPMInfo{
		Certificate: c.certificate, AK: withSize(c.ak.public), Quote: c.quoted.attest, Key: withSize(c.key.public), Certify: c.certified.attest, Set: c.pcrs,
	}
	if info.Signature, err = bareSignature(*quote); err != nil {
		return nil, err
	}
	if info.CertifySignature, err = bareSignature(c.certified.signature); err != nil {
		return nil, err
	}
	for _, pcr := range c.pcrs {
		info.PCRs = append(info.PCRs, azurePCR{pcr, c.quoted.values[0].Values[pcr]})
	}
	return info, nil
}

// withSize makes TPM2B_PUBLIC of a public area.
func withSize(area []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(area))), area...)
}

// payload writes ClientPayload: the nonce and what the caller gave, in base64 with padding.
func (c *azureCollection) payload() (jsontext.Value, error) {
	all := map[string][]byte{azureNonceName: c.nonce}
	maps.Copy(all, c.options.Payload)
	b, err := json.Marshal(all, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("writing the payload: %w", err)
	}
	return b, nil
}

// azureProof is the proof of a report of SEV-SNP: JSON with the report in base64url and the certificates in base64 with padding.
func azureProof(report, chain []byte) ([]byte, error) {
	b, err := json.Marshal(struct {
		Report string `json:"SnpReport"`
		Chain  []byte `json:"VcekCertChain"`
	}{b64.URL(report), chain})
	if err != nil {
		return nil, fmt.Errorf("writing the proof: %w", err)
	}
	return b, nil
}

// Bounds of the description of the operating system.
const (
	osReleasePath  = "etc/os-release"
	maxOSRelease   = 64 << 10
	maxSystemName  = 64 // bytes
	maxVersionPart = 9  // digits
)

// system is the operating system, as far as it says.
type system struct {
	name         string
	major, minor int
}

// readSystem reads /etc/os-release; a system without one has no name.
func readSystem(root fs.FS) system {
	s := system{name: "Unknown"}
	b, err := read(root, osReleasePath, maxOSRelease)
	if err != nil {
		return s
	}
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "=")
		switch value = strings.Trim(strings.TrimSpace(value), `"'`); strings.TrimSpace(name) {
		case "NAME":
			s.name = strings.ToValidUTF8(value[:min(len(value), maxSystemName)], "")
		case "VERSION_ID":
			parts := append(strings.Split(value, "."), "", "")
			s.major, s.minor = versionPart(parts[0]), versionPart(parts[1])
		}
	}
	return s
}

// versionPart reads a part of a version, such as 04; what is no number is zero.
func versionPart(s string) int {
	n, err := strconv.ParseUint(s[:min(len(s), maxVersionPart)], 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}

// describe puts the system into the request.
func (s system) describe(info *azureInfo) {
	info.OSType, info.OSBuild = []byte("Linux"), []byte("NotApplicable")
	info.OSDistro, info.OSMajor, info.OSMinor = []byte(s.name), s.major, s.minor
}

// Body is the body of the request to POST /attest/AzureGuest (api.md section 7.6).
func (r *AzureRequest) Body() ([]byte, error) {
	b, err := json.Marshal(struct {
		Info string `json:"AttestationInfo"`
	}{b64.URL(r.Info)})
	if err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	return b, nil
}
