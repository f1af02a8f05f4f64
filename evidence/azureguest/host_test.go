package azureguest_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/evidence/tdx"
	"github.com/assay-attestation/assay/internal/b64"
)

// onSNP and onTDX hold a machine against a hardware report with the report data, which its caller would have verified.
func onSNP(m *azureguest.Machine, data [64]byte) (*azureguest.Verified, error) {
	return m.OnSNP(&snp.Verified{Report: &snp.Report{ReportData: data}})
}

func onTDX(m *azureguest.Machine, data [64]byte) (*azureguest.Verified, error) {
	return m.OnTDX(&tdx.Verified{Report: dcap.TDReport{ReportData: data}})
}

func onTrustedLaunch(m *azureguest.Machine, _ [64]byte) (*azureguest.Verified, error) {
	return m.OnTrustedLaunch()
}

// isolated is a good machine that says to be of a type, with its runtime data.
func isolated(t *testing.T, isolation string, runtime []byte) *azureguest.Machine {
	t.Helper()
	l := newLab(t, confidential).set("IsolationInfo.Type", isolation).set("IsolationInfo.Evidence.RunTimeData", runtime)
	if isolation == "TrustedLaunch" {
		l.set("IsolationInfo.Evidence", nil)
	}
	m, err := l.machine(t, azureguest.Input{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// vouching is report data that vouches for runtime data.
func vouching(runtime []byte) (data [64]byte) {
	sum := sha256.Sum256(runtime)
	copy(data[:], sum[:])
	return data
}

func TestAMachineIsHeldAgainstItsOwnKindOfHostOnly(t *testing.T) {
	runtime := newLab(t, confidential).bytes(t, "IsolationInfo.Evidence.RunTimeData")
	for _, isolation := range []string{"SevSnp", "Tdx", "TrustedLaunch"} {
		m := isolated(t, isolation, runtime)
		for host, on := range map[string]func(*azureguest.Machine, [64]byte) (*azureguest.Verified, error){"SevSnp": onSNP, "Tdx": onTDX, "TrustedLaunch": onTrustedLaunch} {
			v, err := on(m, vouching(runtime))
			switch {
			case host != isolation:
				refusedFor(t, err, evidence.IsolationType)
			case err != nil:
				t.Errorf("%s: %v", isolation, err)
			case (v.RuntimeData() == nil) != (isolation == "TrustedLaunch") || v.Recipient().N.BitLen() != 2048 || v.Version() != "2.0":
				t.Errorf("%s: runtime data %s, recipient %v, version %s", isolation, v.RuntimeData(), v.Recipient(), v.Version())
			case len(v.PCR(0)) != 32 || v.PCR(8) != nil || v.PCR(-1) != nil || v.PCR(24) != nil:
				t.Errorf("%s: PCR 0 %x, 8 %x", isolation, v.PCR(0), v.PCR(8))
			}
		}
	}
}

func TestHostsThatVouchForSomethingElse(t *testing.T) {
	runtime := newLab(t, confidential).bytes(t, "IsolationInfo.Evidence.RunTimeData")
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other := []byte(`{"keys":[{"kid":"HCLAkPub","key_ops":["sign"],"kty":"RSA","e":"AQAB","n":"` + b64.URL(stranger.N.Bytes()) + `"}]}`)
	exponent := []byte(strings.Replace(string(runtime), `"AQAB"`, `"Aw"`, 1))
	lower, upper := vouching(runtime), vouching(runtime)
	lower[0] ^= 1
	upper[63] ^= 1
	for name, c := range map[string]struct {
		runtime []byte
		data    [64]byte
		check   evidence.Check
	}{
		"other runtime data":             {runtime, lower, evidence.RuntimeData},
		"an upper half that is not zero": {runtime, upper, evidence.RuntimeData},
		"runtime data that is no JSON":   {[]byte("runtime"), vouching([]byte("runtime")), evidence.HCLRuntime},
		"the key of another vTPM":        {other, vouching(other), evidence.AKBinding},
		"the key with another exponent":  {exponent, vouching(exponent), evidence.AKBinding},
	} {
		_, err := onSNP(isolated(t, "SevSnp", c.runtime), c.data)
		refusedFor(t, err, c.check)
		_, err = onTDX(isolated(t, "Tdx", c.runtime), c.data)
		if refusedFor(t, err, c.check); t.Failed() {
			t.Fatal(name)
		}
	}
}

// TestReportsOfTheGuestItselfAreRefused: at VMPL 1 to 3 the guest chooses the report data.
func TestReportsOfTheGuestItselfAreRefused(t *testing.T) {
	runtime := newLab(t, confidential).bytes(t, "IsolationInfo.Evidence.RunTimeData")
	for _, level := range []uint32{1, 2, 3, 0xFFFFFFFF} {
		_, err := isolated(t, "SevSnp", runtime).OnSNP(&snp.Verified{Report: &snp.Report{VMPL: level, ReportData: vouching(runtime)}})
		refusedFor(t, err, evidence.PrivilegeLevel)
	}
}

// TestTheGoClient: what the real Go client sent from a simulated TPM, with a dummy for a certificate and runtime data without a key. All that its
// TPM signed is sound; nothing vouches for it.
func TestTheGoClient(t *testing.T) {
	b, err := information(t, "maa/azureguest/goclient-simulated.request.json")
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, confidential).read(t, b)
	_, err = l.machine(t, azureguest.Input{})
	refusedFor(t, err, evidence.AIKCertificate)
	m, err := l.set("TpmInfo.AikCert", nil).machine(t, azureguest.Input{RequireNonce: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.report(t, l.bytes(t, "IsolationInfo.Evidence.Proof")); err == nil {
		t.Error("a report of zeros is accepted")
	}
	_, err = onSNP(m, vouching(l.bytes(t, "IsolationInfo.Evidence.RunTimeData")))
	refusedFor(t, err, evidence.HCLRuntime)
}
