package attreq

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// attestation is a quote with the logs that it covers.
type attestation struct {
	name        string // of the member it came in
	certificate []byte // of the AIK, nil: none
	aik         *jwk
	logs        []logBytes
	claim       []byte // of version 1: a claim of NCrypt, which holds quote, signature and values
	quote       []byte // of version 2, as the next two
	signature   []byte
	pcrs        []tpm.Bank
}

// logBytes is a log as sent.
type logBytes struct {
	kind logKind
	data []byte
}

type logKind int

const (
	tcgLog logKind = iota
	drtmLog
	imaList
)

// platform1JSON is tpm_att_data of version 1.
type platform1JSON struct {
	Boot        *string        `json:"srtm_boot_log"`
	Resume      *string        `json:"srtm_resume_log"`
	DRTMBoot    *string        `json:"drtm_boot_log"`
	DRTMResume  *string        `json:"drtm_resume_log"`
	Certificate *string        `json:"aik_cert"`
	AIK         jsontext.Value `json:"aik_pub"`
	Current     *string        `json:"current_claim"`
	BootClaim   *string        `json:"boot_claim"`
}

// platform1 reads tpm_att_data of version 1. The claim of the boot counts where there are logs of a resume: without, the current
// claim covers the logs of the boot.
func (r *Request) platform1(sent jsontext.Value) error {
	var m platform1JSON
	if err := strictjson.Exact(sent, &m); err != nil {
		return malformed("the member tpm_att_data cannot be read").Because(err)
	}
	a := attestation{name: "current_claim"}
	if err := a.readAIK(m.Certificate, m.AIK); err != nil {
		return err
	}
	var err error
	if a.claim, err = needed("current_claim", m.Current, maxBinary); err != nil {
		return err
	}
	boot, resume, err := r.logs1(&m)
	if err != nil {
		return err
	}
	for i, l := range resume {
		if len(l.data) == 0 {
			l = boot[i]
		}
		if len(l.data) > 0 {
			a.logs = append(a.logs, l)
		}
	}
	r.current = a
	bootClaim, err := binary("boot_claim", m.BootClaim, maxBinary)
	if err == nil && len(bootClaim) > 0 && len(resume[0].data)+len(resume[1].data) > 0 {
		r.boot = &attestation{name: "boot_claim", certificate: a.certificate, aik: a.aik, claim: bootClaim, logs: present(boot[:])}
	}
	return err
}

// logs1 reads the logs of boot and resume: first the static, then the dynamic launch.
func (r *Request) logs1(m *platform1JSON) (boot, resume [2]logBytes, err error) {
	boot, resume = [2]logBytes{{kind: tcgLog}, {kind: drtmLog}}, [2]logBytes{{kind: tcgLog}, {kind: drtmLog}}
	for _, l := range []struct {
		name string
		text *string
		to   *logBytes
	}{
		{"srtm_boot_log", m.Boot, &boot[0]}, {"drtm_boot_log", m.DRTMBoot, &boot[1]},
		{"srtm_resume_log", m.Resume, &resume[0]}, {"drtm_resume_log", m.DRTMResume, &resume[1]},
	} {
		if l.to.data, err = binary(l.name+" (tcg_log)", l.text, r.limits.Log.Size); err != nil {
			return boot, resume, err
		}
	}
	return boot, resume, nil
}

// present leaves out the logs that are not there.
func present(logs []logBytes) (there []logBytes) {
	for _, l := range logs {
		if len(l.data) > 0 {
			there = append(there, l)
		}
	}
	return there
}

// readAIK reads the attestation key and its certificate, if there is one.
func (a *attestation) readAIK(certificate *string, key jsontext.Value) (err error) {
	if a.certificate, err = binary("aik_cert", certificate, maxBinary); err != nil {
		return err
	}
	a.aik, err = parseJWK(evidence.AIKKey, "aik_pub", key)
	return err
}

// platform2JSON is tpm_att_data of version 2.
type platform2JSON struct {
	Current jsontext.Value `json:"current_attestation"`
	Boot    jsontext.Value `json:"boot_attestation"`
}

// attestationJSON is one attestation of version 2.
type attestationJSON struct {
	Logs        []logJSON      `json:"logs"`
	Certificate *string        `json:"aik_cert"`
	AIK         jsontext.Value `json:"aik_pub"`
	PCRs        []bankJSON     `json:"pcrs"`
	Quote       *string        `json:"quote"`
	Signature   *string        `json:"signature"`
}

type logJSON struct {
	Type *string `json:"type"`
	Log  *string `json:"log"`
}

type bankJSON struct {
	Algorithm uint16    `json:"algorithm"`
	Values    []pcrJSON `json:"values"`
}

type pcrJSON struct {
	Index  *uint32 `json:"index"`
	Digest *string `json:"digest"`
}

// platform2 reads tpm_att_data of version 2.
func (r *Request) platform2(sent jsontext.Value) error {
	var m platform2JSON
	if err := strictjson.Exact(sent, &m); err != nil {
		return malformed("the member tpm_att_data cannot be read").Because(err)
	}
	current, err := r.attestation("current_attestation", m.Current)
	if err != nil {
		return err
	}
	r.current = *current
	if m.Boot != nil && m.Boot.Kind() != 'n' {
		r.boot, err = r.attestation("boot_attestation", m.Boot)
	}
	return err
}

// attestation reads one attestation of version 2.
func (r *Request) attestation(name string, sent jsontext.Value) (*attestation, error) {
	if !isObject(sent) {
		return nil, malformed("the member %s is no object", name)
	}
	var m attestationJSON
	if err := strictjson.Exact(sent, &m); err != nil {
		return nil, malformed("the member %s cannot be read", name).Because(err)
	}
	a := &attestation{name: name}
	if err := a.readAIK(m.Certificate, m.AIK); err != nil {
		return nil, err
	}
	if err := a.readLogs(m.Logs, r.limits); err != nil {
		return nil, err
	}
	if err := a.readPCRs(m.PCRs); err != nil {
		return nil, err
	}
	var err error
	if a.quote, err = needed(name+".quote", m.Quote, maxBinary); err != nil {
		return nil, err
	}
	a.signature, err = needed(name+".signature", m.Signature, maxBinary)
	return a, err
}

func (a *attestation) readLogs(logs []logJSON, l Limits) error {
	if len(logs) > maxLogs {
		return malformed("there are too many logs in %s", a.name).Want(strconv.Itoa(maxLogs)+" or fewer", len(logs))
	}
	for _, m := range logs {
		kind, limit, name := tcgLog, l.Log.Size, "logs.log (tcg_log)"
		switch valueOf(m.Type) {
		case "TCG":
		case "IMA":
			kind, limit, name = imaList, l.IMA.Size, "logs.log (ima_log)"
		default:
			return malformed("the member logs.type is unknown").Want("TCG or IMA", quoted(valueOf(m.Type)))
		}
		data, err := needed(name, m.Log, limit)
		if err != nil {
			return err
		}
		a.logs = append(a.logs, logBytes{kind, data})
	}
	return nil
}

// readPCRs reads the values of PCRs, in any order inside their bank.
func (a *attestation) readPCRs(banks []bankJSON) error {
	if len(banks) > maxBanks {
		return malformed("there are too many banks in pcrs").Want(strconv.Itoa(maxBanks)+" or fewer", len(banks))
	}
	for _, m := range banks {
		bank := tpm.Bank{Alg: tpm.Alg(m.Algorithm)}
		if bank.Alg.Size() == 0 {
			return evidence.Refuse(evidence.PCRSelection, "the member pcrs has a bank of an unknown hash").Want("algorithm 11, 12 or 13", m.Algorithm).Do("quote PCRs of the SHA-256 bank")
		}
		if err := readBank(&bank, m.Values); err != nil {
			return err
		}
		a.pcrs = append(a.pcrs, bank)
	}
	return nil
}

func readBank(bank *tpm.Bank, values []pcrJSON) error {
	for _, v := range values {
		if v.Index == nil || *v.Index >= tpm.PCRCount {
			return malformed("the member pcrs.values.index is no number of a PCR").Want("0 to 23", show(v.Index))
		}
		digest, err := needed("pcrs.values.digest", v.Digest, maxDigest)
		if err != nil {
			return err
		}
		if bank.Values[*v.Index] != nil {
			return malformed("PCR %d is twice in bank %v", *v.Index, bank.Alg)
		}
		if len(digest) != bank.Alg.Size() {
			return malformed("the value of PCR %d has another length than bank %v", *v.Index, bank.Alg).Want(bank.Alg.Size(), len(digest))
		}
		bank.Values[*v.Index] = digest
	}
	return nil
}

func show(n *uint32) string {
	if n == nil {
		return "none"
	}
	return strconv.FormatUint(uint64(*n), 10)
}
