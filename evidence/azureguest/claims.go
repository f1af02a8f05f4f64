package azureguest

import (
	"crypto/rsa"
	"crypto/x509"
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
	"github.com/assay-attestation/assay/internal/b64"
)

// The PCRs that Windows measures its settings into while it starts (tpm.md section 10.1).
const (
	optionsPCR = 12
	modulesPCR = 13
)

// Claims states the service's claims about the guest (tokens.md section 9), but for x-ms-isolation-tee, which is made of the claims of the hardware
// report. expected are the sets of secure-boot keys of which one must be the machine's; none: the three claims about them are false. Values are string,
// bool, int64, []int64 (the quoted PCRs) or [jsontext.Value] (x-ms-runtime, of which the payload is as the guest sent it).
//
// Names and versions of the operating system are what the guest says; those that it does not say are left out, or 0. Without a log all that a log tells is
// false or 0.
func (v *Verified) Claims(expected []SecureBootKeys) []evidence.Claim {
	b, boot := v.machine.bundle, v.bootFacts()
	keys := match(v.secureBoot(), expected)
	claims := []evidence.Claim{{Name: "x-ms-attestation-type", Value: "azurevm"}, {Name: "secureboot", Value: v.secureBoot().Enabled}}
	add := func(name string, value any) {
		if value != "" {
			claims = append(claims, evidence.Claim{Name: "x-ms-azurevm-" + name, Value: value})
		}
	}
	add("attestation-protocol-ver", b.Version)
	add("attested-pcrs", v.attestedPCRs())
	add("bootdebug-enabled", boot.bootDebug)
	add("dbvalidated", keys.db)
	add("dbxvalidated", keys.dbx)
	add("debuggersdisabled", boot.noDebuggers)
	add("default-securebootkeysvalidated", keys.owners)
	add("elam-enabled", boot.elam)
	add("flightsigning-enabled", boot.flightSigning)
	add("hvci-policy", boot.hvci)
	add("hypervisordebug-enabled", boot.hypervisorDebug)
	add("is-windows", boot.windows)
	add("kerneldebug-enabled", boot.kernelDebug)
	add("osbuild", b.os.build)
	add("osdistro", b.os.distro)
	add("ostype", b.os.kind)
	add("osversion-major", b.os.major)
	add("osversion-minor", b.os.minor)
	add("signingdisabled", boot.noTestSigners)
	add("testsigning-enabled", boot.testSigning)
	add("vmid", v.vmID())
	return append(claims, evidence.Claim{Name: "x-ms-runtime", Value: runtimeClaim(b.Payload, v.machine.sealing)})
}

// vmID is the GUID of the VM that the paravisor's runtime data has; empty for trusted launch, where nothing vouches for one.
func (v *Verified) vmID() string {
	if v.runtime == nil {
		return ""
	}
	return v.runtime.VMID
}

// attestedPCRs are the quoted PCRs, by rising number.
func (v *Verified) attestedPCRs() []int64 {
	pcrs := []int64{}
	for pcr, value := range v.machine.quoted.Banks()[0].Values {
		if value != nil {
			pcrs = append(pcrs, int64(pcr))
		}
	}
	return pcrs
}

// runtimeClaim writes x-ms-runtime. The payload is JSON that stands as deep here as [Parse] allows.
func runtimeClaim(payload jsontext.Value, key *rsa.PublicKey) jsontext.Value {
	dst := []byte(`{`)
	if payload != nil {
		dst = append(append(append(dst, `"client-payload":`...), payload...), ',')
	}
	dst = append(append(dst, `"keys":[{"e":"`...), b64.URL(big.NewInt(int64(key.E)).Bytes())...)
	dst = append(dst, `","key_ops":["encrypt"],"kid":"TpmEphemeralEncryptionKey","kty":"RSA","n":"`...)
	return append(append(dst, b64.URL(key.N.Bytes())...), `"}]}`...)
}

// bootFacts are the claims about Windows.
type bootFacts struct {
	windows                                 bool
	bootDebug, kernelDebug, hypervisorDebug bool
	testSigning, flightSigning              bool
	noDebuggers, noTestSigners              bool
	elam                                    bool
	hvci                                    int64
}

// bootFacts gives what the log tells about Windows. A setting that was logged with different values counts with the worse one.
//
// A Windows has no debuggers and no test signers if PCR 12 and 13 are quoted, the settings that every Windows logs say so, and no other says otherwise.
// Windows logs the debugging of its hypervisor only where it starts one, and flight signing since Windows 10 only: unlogged, these two are off.
// Anything else than Windows measures no such settings, and has neither.
func (v *Verified) bootFacts() bootFacts {
	f := bootFacts{windows: v.windows()}
	boot := v.machine.boot
	if boot == nil {
		return f
	}
	debugging, kernel := settingOf(boot, sipa.BootDebugging), settingOf(boot, sipa.OSKernelDebug)
	hypervisor, test, flight := settingOf(boot, sipa.HypervisorDebug), settingOf(boot, sipa.TestSigning), settingOf(boot, sipa.FlightSigning)
	f.bootDebug, f.kernelDebug, f.hypervisorDebug = debugging.on, kernel.on, hypervisor.on
	f.testSigning, f.flightSigning = test.on, flight.on
	f.elam, f.hvci = len(boot.Settings(sipa.ELAMKeyName)) > 0, hvciPolicy(boot)

	covered := boot.Covers(optionsPCR) && boot.Covers(modulesPCR)
	debuggersKnown := !f.windows || covered && debugging.logged && kernel.logged
	signersKnown := !f.windows || covered && test.logged
	f.noDebuggers = debuggersKnown && !debugging.on && !kernel.on && !hypervisor.on
	f.noTestSigners = signersKnown && !test.on && !flight.on
	return f
}

// setting is one that is on or off.
type setting struct{ logged, on bool }

func settingOf(boot *measured.Boot, id sipa.ID) (s setting) {
	for _, found := range boot.Settings(id) {
		s.logged, s.on = true, s.on || found.Element.Bool()
	}
	return s
}

// hvciPolicy is the least value of EVENT_VBS_HVCI_POLICY, of which 1 means that the hypervisor enforces code integrity; 0 if none is logged.
func hvciPolicy(boot *measured.Boot) int64 {
	least := uint64(math.MaxInt64)
	all := boot.Settings(sipa.VBSHVCIPolicy)
	for _, s := range all {
		n, _ := s.Element.Uint()
		least = min(least, n)
	}
	if len(all) == 0 {
		return 0
	}
	return int64(least)
}

// windows reports whether the guest runs Windows: it says so, its log has the settings of one, or the firmware started what is signed as Windows is. A guest
// that hides one of these gains nothing by it, since each makes more demands of the settings.
func (v *Verified) windows() bool {
	if strings.EqualFold(v.machine.bundle.os.kind, "windows") {
		return true
	}
	boot := v.machine.boot
	return boot != nil && (len(boot.Settings(sipa.TrustBoundary)) > 0 || slices.ContainsFunc(boot.SecureBoot().Authorities, signsWindows))
}

// signsWindows reports whether the authority is a certificate that Microsoft signs the boot manager of Windows under, by its name.
func signsWindows(s eventlog.Signature) bool {
	c, err := x509.ParseCertificate(s.Data)
	return err == nil && (c.Subject.CommonName == "Microsoft Windows Production PCA 2011" || c.Subject.CommonName == "Windows UEFI CA 2023")
}
