//go:build cgo

package azureguest

import (
	"bytes"
	"crypto/rsa"
	"testing"

	"github.com/edgelesssys/go-azguestattestation/maa"
	"github.com/google/go-tpm-tools/client"
	ptpm "github.com/google/go-tpm-tools/proto/tpm"
	"github.com/google/go-tpm-tools/simulator"
	"github.com/google/go-tpm/legacy/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpmutil"

	"github.com/assay-attestation/assay/internal/swtpmtest"
)

// Where Azure's paravisor keeps its things in the vTPM (azure-guest.md section 1).
const (
	indexHCLReport   = 0x01400001
	indexCertificate = 0x01C101D0
	handleAK         = tpmutil.Handle(0x81000003)
)

// firmwarePCRs are those that the client quotes.
func firmwarePCRs() tpm2.PCRSelection {
	return tpm2.PCRSelection{Hash: tpm2.AlgSHA256, PCRs: []int{0, 1, 2, 3, 4, 5, 6, 7}}
}

// machine is a vTPM whose firmware measured what its log says.
type machine struct {
	tpm *simulator.Simulator
	ak  *rsa.PublicKey
	log []byte
}

// newMachine makes a machine of which nobody vouches for anything yet: a TPM with seeds of its own and an attestation key that was persisted.
// There can be one at a time.
func newMachine(t *testing.T, log []byte) *machine {
	t.Helper()
	s, err := simulator.Get()
	must(t, err)
	m := &machine{tpm: s, log: log}
	t.Cleanup(func() { m.turnOff(t) })
	swtpmtest.Boot(t, transport.FromReadWriter(s), log)
	template := client.AKTemplateRSA()
	template.Attributes |= tpm2.FlagNoDA
	ak, err := client.NewKey(s, tpm2.HandleOwner, template)
	must(t, err)
	defer ak.Close()
	must(t, tpm2.EvictControl(s, "", tpm2.HandleOwner, ak.Handle(), handleAK))
	var ok bool
	if m.ak, ok = ak.PublicKey().(*rsa.PublicKey); !ok {
		t.Fatalf("the attestation key is a %T", ak.PublicKey())
	}
	return m
}

// turnOff makes room for another machine.
func (m *machine) turnOff(t *testing.T) {
	t.Helper()
	if !m.tpm.IsClosed() {
		must(t, m.tpm.Close())
	}
}

// largestIndex is what an NV index of the simulator can hold, in bytes. Azure's have room for 2600, of which the end is padding.
const largestIndex = 2048

// store fills the NV indices as the paravisor does.
func (m *machine) store(t *testing.T, hclReport, certificate []byte) {
	t.Helper()
	if content := len(bytes.TrimRight(hclReport, "\x00")); content > largestIndex {
		t.Fatalf("HCL report with %d bytes, of which the simulator stores %d", content, largestIndex)
	}
	c := transport.FromReadWriter(m.tpm)
	swtpmtest.Store(t, c, indexHCLReport, hclReport[:min(len(hclReport), largestIndex)])
	swtpmtest.Store(t, c, indexCertificate, certificate)
}

// quote is what [maa.Parameters] says of the attestation key and the boot.
func (m *machine) quote(t *testing.T, nonce []byte) *maa.Attestation {
	t.Helper()
	certificate, err := tpm2.NVReadEx(m.tpm, indexCertificate, tpm2.HandleOwner, "", 0)
	must(t, err)
	key, err := client.LoadCachedKey(m.tpm, handleAK, client.NullSession{})
	must(t, err)
	defer key.Close()
	area, err := key.PublicArea().Encode()
	must(t, err)
	quote, err := key.Quote(firmwarePCRs(), nonce)
	must(t, err)
	return &maa.Attestation{AkPub: area, AkCert: certificate, EventLog: m.log, Quotes: []*ptpm.Quote{quote}}
}

// sealingKey makes the key that the token is to be encrypted to, of the template that the client uses again when it decrypts: in the null
// hierarchy, and bound to the values of the PCRs.
func (m *machine) sealingKey(t *testing.T) (public, statement, signature []byte) {
	t.Helper()
	template := tpm2.Public{
		Type: tpm2.AlgRSA, NameAlg: tpm2.AlgSHA256, AuthPolicy: m.policy(t), RSAParameters: &tpm2.RSAParams{KeyBits: 2048},
		Attributes: tpm2.FlagDecrypt | tpm2.FlagFixedTPM | tpm2.FlagFixedParent | tpm2.FlagSensitiveDataOrigin | tpm2.FlagNoDA,
	}
	handle, area, _, _, _, _, err := tpm2.CreatePrimaryEx(m.tpm, tpm2.HandleNull, firmwarePCRs(), "", "", template)
	must(t, err)
	defer func() { must(t, tpm2.FlushContext(m.tpm, handle)) }()
	statement, signed, err := tpm2.Certify(m.tpm, "", "", handle, handleAK, nil)
	must(t, err)
	public, err = tpmutil.Pack(tpmutil.U16Bytes(area))
	must(t, err)
	const head = 6 // of TPMT_SIGNATURE: scheme, hash, size
	return public, statement, signed[head:]
}

// policy is the policy digest of the current values of the PCRs, by a trial session.
func (m *machine) policy(t *testing.T) []byte {
	t.Helper()
	session, _, err := tpm2.StartAuthSession(m.tpm, tpm2.HandleNull, tpm2.HandleNull, make([]byte, 32), nil, tpm2.SessionTrial, tpm2.AlgNull, tpm2.AlgSHA256)
	must(t, err)
	defer func() { must(t, tpm2.FlushContext(m.tpm, session)) }()
	must(t, tpm2.PolicyPCR(m.tpm, session, nil, firmwarePCRs()))
	digest, err := tpm2.PolicyGetDigest(m.tpm, session)
	must(t, err)
	return digest
}

// extend has something measured after the boot.
func (m *machine) extend(t *testing.T, pcr int) {
	t.Helper()
	must(t, tpm2.PCRExtend(m.tpm, tpmutil.Handle(pcr), tpm2.AlgSHA256, make([]byte, 32), ""))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
