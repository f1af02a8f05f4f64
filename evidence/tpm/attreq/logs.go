package attreq

import (
	"crypto/rsa"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/ima"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
	"github.com/assay-attestation/assay/evidence/vbs"
	"github.com/assay-attestation/assay/internal/jose"
)

// checkLogs holds the logs against the quotes that cover them.
func (v *verification) checkLogs() (err error) {
	if v.current, err = v.measure(&v.request.current, v.quoted); err != nil {
		return err
	}
	if v.request.boot == nil {
		return nil
	}
	if v.Verified.boot, err = v.measure(v.request.boot, v.before); err != nil {
		return err
	}
	counted, now := counters(v.Verified.boot), counters(v.current)
	if len(counted) > 0 && len(now) > 0 && !maps.Equal(counted, now) {
		return evidence.Refuse(evidence.BootAttestation, "the two logs are of different boots").
			Want("EVENT_BOOTCOUNTER "+numbers(now)+" in both", numbers(counted)).Do(sameBoot)
	}
	return nil
}

// counters are the values of Windows' counter of cold boots.
func counters(b *measured.Boot) map[uint64]bool {
	values := map[uint64]bool{}
	for _, s := range b.Settings(sipa.BootCounter) {
		n, _ := s.Element.Uint() // an integer: sipa.Parse has checked it
		values[n] = true
	}
	return values
}

// numbers writes the counters for a person, the first few of them.
func numbers(counters map[uint64]bool) string {
	const most = 4
	sorted := slices.Sorted(maps.Keys(counters))
	text := strings.Trim(fmt.Sprint(sorted[:min(most, len(sorted))]), "[]")
	if len(sorted) > most {
		text += " …"
	}
	return text
}

// measure parses the logs of an attestation and holds them against its quote.
func (v *verification) measure(a *attestation, q *tpm.Quoted) (*measured.Boot, error) {
	var logs []measured.Log
	for _, l := range a.logs {
		log, err := v.parse(l)
		if err != nil {
			return nil, err
		}
		log.DRTM = log.DRTM || len(logs) > 0 && dynamic(log.TCG)
		logs = append(logs, log)
	}
	return measured.Verify(logs, q, measured.Options{
		WithoutAuthority: v.WithoutAuthority, Depth: v.request.limits.Depth, Limits: v.request.limits.Log, DRTMKey: v.DRTMKey, Journal: v.Journal,
	})
}

// parse reads one log.
func (v *verification) parse(l logBytes) (m measured.Log, err error) {
	if l.kind == imaList {
		m.IMA, err = ima.ParseBinary(l.data, tpm.SHA1, v.request.limits.IMA)
		return m, err
	}
	m.DRTM = l.kind == drtmLog
	if m.TCG, err = eventlog.Parse(l.data, v.request.limits.Log); err != nil {
		return m, err
	}
	if m.TCG.Legacy() && !v.AllowSHA1 {
		return m, evidence.Refuse(evidence.SHA1, "the log is in the SHA-1 form, which the provider's setting tpm_allow_sha1 would allow").
			Want("a crypto-agile log", "one in the SHA-1 form").Do("have the firmware use its SHA-256 bank, or the provider set tpm_allow_sha1 (strict keeps it off)")
	}
	return m, nil
}

// dynamic tells the log of a dynamic launch, for which version 2 has no name: it extends nothing but the PCRs of one.
func dynamic(l *eventlog.Log) bool {
	if l == nil {
		return false
	}
	const first, last = 17, 22
	extended := false
	records := l.Records()
	for i := range records {
		if !records[i].Extended() {
			continue
		}
		if records[i].PCR < first || records[i].PCR > last {
			return false
		}
		extended = true
	}
	return extended
}

// checkEnclave verifies the report of a VBS enclave by the keys that the current logs measure, and by no older ones: a quote of the
// boot may be as old as its sender likes.
func (v *verification) checkEnclave() error {
	e := v.request.enclave
	if e == nil {
		return nil
	}
	report, err := vbs.Parse(e.report)
	if err != nil {
		return err
	}
	v.Journal.Pass(evidence.VBSFormat, "")
	if v.enclave, err = report.Verify(v.idks(), e.data); err != nil {
		return err
	}
	v.Journal.Pass(evidence.VBSSignature, "")
	v.Journal.Pass(evidence.VBSBinding, "")
	return nil
}

// idks are the measured keys of the secure kernel that can be used.
func (v *verification) idks() (keys []*rsa.PublicKey) {
	for _, k := range v.current.IDKS() {
		key := &rsa.PublicKey{N: new(big.Int).SetBytes(k.Modulus), E: int(k.Exponent)}
		if jose.CheckRSA(key) == nil {
			keys = append(keys, key)
		}
	}
	return keys
}
