package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/reference"
	"github.com/assay-attestation/assay/internal/strictjson"
	"github.com/assay-attestation/assay/policy"
)

// defaultPCRs are those of a machine that say which firmware, boot loader, kernel and Secure Boot keys it has started with.
const defaultPCRs = "0,2,4,7"

// isolationTee is the claim of an Azure guest with the claims of its hardware report as members.
const isolationTee = "x-ms-isolation-tee"

// referenceSource is evidence that is to be trusted from now on.
type referenceSource struct {
	file       string
	claims     []string // wanted; none: those that say what runs there
	pcrs       pcrSet
	pcrsToo    bool // of an Azure guest: beside the measurement of its hardware report
	evidence   attestation
	provenance reference.Provenance
}

func (r *referenceSource) declare(c *call) {
	c.StringVar(&r.file, "from-evidence", "", "trust what the evidence in `FILE` shows, after the service has verified it; of a tpm, its TCG event log")
	c.Func("claim", "with --from-evidence: trust the value of the claim `NAME` and not those by which the type is known; may be repeated", func(s string) error {
		r.claims = append(r.claims, s)
		return nil
	})
	c.Func("pcrs", "with --from-evidence of a tpm or of an Azure guest: trust the values of the PCRs of `LIST`, such as 0,7,11-14 (default "+defaultPCRs+")", r.pcrs.set)
	c.runtimeVar(&r.evidence.runtime)
	c.chainVar(&r.evidence.chain)
}

// check refuses flags that do not go together.
func (r *referenceSource) check(c *call, t evidence.Type) error {
	for _, flag := range []string{"claim", "pcrs", "runtime-data", "runtime-type", "chain"} {
		if r.file == "" && c.isSet(flag) {
			return usage("--%s is for --from-evidence", flag)
		}
	}
	switch {
	case c.isSet("claim") && t == evidence.Tpm:
		return usage("--claim is not for tpm: a log leads to PCRs; choose them with --pcrs")
	case c.isSet("pcrs") && t != evidence.Tpm && t != evidence.AzureGuest:
		return usage("--pcrs is for tpm and azureguest, not for %s", t)
	case c.isSet("chain") && t != evidence.SevSnpVM:
		return usage("--chain is for snp, not for %s", t)
	case r.pcrs.some:
		r.pcrsToo = true
		return nil
	}
	return r.pcrs.set(defaultPCRs)
}

// values gives what the evidence shows.
func (r *referenceSource) values(ctx context.Context, c *call, service *remote, t evidence.Type) ([]namedValue, error) {
	b, err := c.read(r.file)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(b)
	r.provenance = reference.Provenance{Source: filepath.Base(r.file), SHA256: hex.EncodeToString(digest[:])}
	if r.file == "-" {
		r.provenance.Source = "standard input"
	}
	if t == evidence.Tpm {
		return r.replayed(c, b)
	}
	r.evidence.kind = t
	if err := r.evidence.take(r.file, b); err != nil {
		return nil, err
	}
	shown, err := r.verified(ctx, c, service)
	if err != nil {
		return nil, err
	}
	return r.choose(shown, t, b)
}

// replayed gives the PCRs that a TCG log leads to.
func (r *referenceSource) replayed(c *call, log []byte) ([]namedValue, error) {
	logs, err := readLogs(log, nil)
	if err != nil {
		return nil, badFile(fmt.Errorf("%s: %w", r.file, err))
	}
	banks, err := logs.replay()
	if err != nil {
		return nil, badFile(fmt.Errorf("%s: %w", r.file, err))
	}
	i := slices.IndexFunc(banks, func(b tpm.Bank) bool { return b.Alg == tpm.SHA256 })
	if i < 0 {
		return nil, badFile(fmt.Errorf("%s: the log has no SHA-256 bank, and no other is trusted", r.file))
	}
	c.warn("a log alone proves nothing: whoever could write %s chose these values. Take it from a machine that you trust, or check it with assay tpm eventlog and a quote", r.file)
	return r.pcrValues(banks[i])
}

// pcrValues are the values of the PCRs wanted, each of which must be there.
func (r *referenceSource) pcrValues(bank tpm.Bank) (values []namedValue, err error) {
	for i, value := range bank.Values {
		if !r.pcrs.has(uint32(i)) {
			continue
		}
		if value == nil {
			return nil, badFile(fmt.Errorf("%s has no value of PCR %d", r.file, i))
		}
		values = append(values, namedValue{name: fmt.Sprintf("pcr-sha256-%d", i), text: hex.EncodeToString(value)})
	}
	return values, nil
}

// verified has the service verify the evidence, with its own trust, and gives the claims that it shows to policies. What the policy says of
// them does not matter: it may be waiting for this reference value.
func (r *referenceSource) verified(ctx context.Context, c *call, service *remote) (map[string]policy.Value, error) {
	m, err := r.message()
	if err != nil {
		return nil, err
	}
	var answer struct {
		Verdict string         `json:"verdict"`
		Error   *problem       `json:"error"`
		Policy  *struct{}      `json:"policy"` // there if the policy was asked, which is of verified evidence only
		Claims  []policy.Claim `json:"claims"`
	}
	if err := service.native(ctx, m, &answer); err != nil {
		return nil, c.tellService(err)
	}
	if answer.Policy == nil || answer.Verdict == "refused" || answer.Verdict == "unavailable" {
		why := "the service did not say why"
		if answer.Error != nil {
			why = answer.Error.Code + ": " + answer.Error.Message
		}
		return nil, fmt.Errorf("%s does not verify, and nothing was written: %s", r.file, why)
	}
	shown := map[string]policy.Value{}
	for _, claim := range answer.Claims {
		if claim.Issuer == policy.AttestationService {
			shown[claim.Type] = claim.Value
		}
	}
	return shown, nil
}

// message asks the service what it makes of the evidence.
func (r *referenceSource) message() (message, error) {
	a := &r.evidence
	path := "/explain/" + string(a.kind)
	if a.kind != evidence.AzureGuest {
		return jsonMessage(http.MethodPost, path, attestBodyFor(a.kind, a.evidence, &a.runtime))
	}
	if members, err := strictjson.Members(a.evidence); err == nil && members["attestationinfo"] != nil {
		return message{method: http.MethodPost, path: path, kind: jsonBody, body: a.evidence}, nil
	}
	return jsonMessage(http.MethodPost, path, map[string]string{"AttestationInfo": b64.URL(a.evidence)})
}

// identity names the claims that say what runs there. Of tdx, RTMR 0 is left out, which changes with the size of the machine, and RTMR 3, which
// belongs to applications.
func identity(t evidence.Type) []string {
	switch t {
	case evidence.SgxEnclave, evidence.OpenEnclave:
		return []string{"x-ms-sgx-mrenclave", "x-ms-sgx-product-id", "x-ms-sgx-svn"}
	case evidence.SevSnpVM:
		return []string{"x-ms-sevsnpvm-launchmeasurement", "x-ms-sevsnpvm-idkeydigest", "x-ms-sevsnpvm-guestsvn"}
	case evidence.TdxVM:
		return []string{"tdx_mrtd", "tdx_rtmr1", "tdx_rtmr2"}
	}
	return nil
}

// choose takes the values that are to be trusted out of the claims that the evidence shows.
func (r *referenceSource) choose(shown map[string]policy.Value, t evidence.Type, b []byte) ([]namedValue, error) {
	names := r.claims
	if t == evidence.AzureGuest {
		bundle, err := readAzureGuest(b)
		if err != nil {
			return nil, badFile(fmt.Errorf("%s: %w", r.file, err))
		}
		if err := hardwareClaims(shown); err != nil {
			return nil, &serviceError{err: err}
		}
		if len(names) == 0 {
			return r.chooseOfGuest(bundle, shown, b)
		}
	}
	if len(names) == 0 {
		return picked(shown, identity(t), true)
	}
	return picked(shown, names, false)
}

// chooseOfGuest takes the measurement of the hardware report, which is of the paravisor, and the PCRs where there is no such report or they
// were asked for.
func (r *referenceSource) chooseOfGuest(bundle *azureguest.Bundle, shown map[string]policy.Value, b []byte) ([]namedValue, error) {
	var names []string
	for _, name := range identity(hardwareOf(b)) {
		names = append(names, isolationTee+"."+name)
	}
	values, err := picked(shown, names, true)
	if err != nil || len(names) > 0 && !r.pcrsToo {
		return values, err
	}
	pcrs, err := r.pcrValues(bundle.SentPCRs())
	return append(values, pcrs...), err
}

// hardwareClaims adds the members of the claim of the hardware report as claims with dots.
func hardwareClaims(shown map[string]policy.Value) error {
	text, ok := shown[isolationTee].Text()
	if !ok || text == "" {
		return nil
	}
	members, err := strictjson.Members([]byte(text))
	if err != nil {
		return fmt.Errorf("the service answered with a claim %s that is no JSON object: %w", isolationTee, err)
	}
	for name, raw := range members {
		var v policy.Value
		if v.UnmarshalJSON(raw) == nil {
			shown[isolationTee+"."+name] = v
		}
	}
	return nil
}

// picked gives the claims of these names; of the usual ones a digest of zeros, which says that there is none, is left out. Security versions may
// grow: they are minimums.
func picked(shown map[string]policy.Value, names []string, usual bool) (values []namedValue, err error) {
	for _, name := range names {
		v, ok := shown[name]
		if !ok {
			return nil, errors.New("the evidence shows no claim " + name + ", and nothing was written")
		}
		text := fmt.Sprint(v.Any())
		if usual && strings.HasSuffix(name, "idkeydigest") && strings.Trim(text, "0") == "" {
			continue
		}
		_, isInteger := v.Int()
		values = append(values, namedValue{name, text, isInteger && strings.HasSuffix(name, "svn")})
	}
	return values, nil
}
