package assaytest

import (
	"encoding/base64"
	"strings"
)

// Body returns the body of the request to /attest/AzureGuest (api.md section 7.6).
func (s *AzureScenario) Body() ([]byte, error) {
	info, err := s.AttestationInfo()
	if err != nil {
		return nil, err
	}
	return object(member{"AttestationInfo", binaryText(info)}), nil
}

// AttestationInfo returns the JSON document in the body (azure-guest.md section 2).
func (s *AzureScenario) AttestationInfo() ([]byte, error) {
	m, err := s.machine()
	if err != nil {
		return nil, err
	}
	tpm, err := m.tpmInfo()
	if err != nil {
		return nil, err
	}
	isolation, err := m.isolation()
	if err != nil {
		return nil, err
	}
	version := s.Version
	if version == "" {
		version = "2.0"
	}
	members := append([]member{{"AttestationProtocolVersion", text(version)}}, m.system()...)
	members = append(members, member{"TcgLogs", m.b64(m.log)}, member{"ClientPayload", m.payload()}, member{"TpmInfo", tpm}, member{"IsolationInfo", isolation})
	return m.host.edit(AzureInfo, object(members...)), nil
}

// b64 is a JSON string of base64 as the dialect has it.
func (m *azureMachine) b64(b []byte) []byte {
	if m.Dialect == AzurePython {
		return binaryText(b)
	}
	return text(base64.StdEncoding.EncodeToString(b))
}

// system says what runs: in the Python dialect the numbers are strings.
func (m *azureMachine) system() []member {
	kind, distro, major, minor := "Linux", "Ubuntu", "24", "04"
	if m.boot().Windows {
		kind, distro, major, minor = "Windows", "Microsoft", "10", "0"
	}
	build := "NotApplication"
	if m.Dialect == AzureGo {
		build = "NotApplicable"
	}
	numbers := [2][]byte{text(major), text(minor)}
	if m.Dialect != AzurePython {
		numbers = [2][]byte{[]byte(major), []byte("0")}
		if minor != "0" {
			numbers[1] = []byte(strings.TrimLeft(minor, "0"))
		}
	}
	return []member{
		{"OSType", m.b64([]byte(kind))}, {"OSDistro", m.b64([]byte(distro))}, {"OSVersionMajor", numbers[0]}, {"OSVersionMinor", numbers[1]},
		{"OSBuild", m.b64([]byte(build))},
	}
}

// payload is ClientPayload: values in base64, in the Python dialect plain JSON.
func (m *azureMachine) payload() []byte {
	switch {
	case m.Payload != "":
		return []byte(m.Payload)
	case m.Dialect == AzurePython && !m.Fresh:
		return []byte(`{"user-claims":{"project":"simulated"}}`)
	}
	return object(member{"nonce", m.b64(m.nonce())})
}

// tpmInfo is what the vTPM says.
func (m *azureMachine) tpmInfo() ([]byte, error) {
	quote, quoteSignature, err := m.quote()
	if err != nil {
		return nil, err
	}
	area := m.sealing()
	certification, certificationSignature, err := m.certify(area)
	if err != nil {
		return nil, err
	}
	certificate, err := m.host.AKCertificate(&m.host.vtpmKey(VTPMAK).PublicKey)
	if err != nil {
		return nil, err
	}
	set, values := m.pcrs()
	return object(
		member{"AikCert", m.b64(certificate)},
		member{"AikPub", m.b64(m.host.edit(AzureAKPublic, sized(m.area(VTPMAK))))},
		member{"PcrQuote", m.b64(quote)},
		member{"PcrSignature", m.b64(quoteSignature)},
		member{"EncKeyPub", m.b64(m.host.edit(AzureSealingPublic, sized(area)))},
		member{"EncKeyCertifyInfo", m.b64(certification)},
		member{"EncKeyCertifyInfoSignature", m.b64(certificationSignature)},
		member{"PcrSet", set},
		member{"PCRs", m.host.edit(AzurePCRs, values)},
	), nil
}

// pcrs are PcrSet and PCRs.
func (m *azureMachine) pcrs() (set, values []byte) {
	var numbers, digests [][]byte
	for _, i := range m.quoted {
		numbers = append(numbers, number(i))
		digests = append(digests, object(member{"Index", number(i)}, member{"Digest", m.b64(m.values[i])}))
	}
	return array(numbers), array(digests)
}

// isolation is IsolationInfo.
func (m *azureMachine) isolation() ([]byte, error) {
	kind := member{"Type", text(string(m.host.Isolation))}
	if m.host.Isolation == AzureTrustedLaunch {
		return object(kind), nil
	}
	runtime := m.host.RuntimeData(&m.host.vtpmKey(VTPMAK).PublicKey, &m.host.vtpmKey(EK).PublicKey, m.UserData)
	report, err := m.host.Report(m.host.reportData(runtime))
	if err != nil {
		return nil, err
	}
	proof, err := m.proof(report)
	if err != nil {
		return nil, err
	}
	return object(kind, member{"Evidence", object(
		member{"Proof", m.b64(m.host.edit(AzureProof, proof))}, member{"RunTimeData", m.b64(m.host.edit(AzureRuntimeSent, runtime))},
	)}), nil
}

// proof is Proof before base64: the report with its certificates, or the quote.
func (m *azureMachine) proof(report []byte) ([]byte, error) {
	if m.host.Isolation == AzureTdx {
		return m.host.Quote(report)
	}
	chain, err := m.host.VCEKChain()
	if err != nil {
		return nil, err
	}
	return object(member{"SnpReport", binaryText(report)}, member{"VcekCertChain", m.b64(chain)}), nil
}
