package kds

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/snp"
)

// key names a VCEK: what the service is asked for, and what its certificate has to say.
type key struct {
	product snp.Product
	chip    string // the id as certificates have it, lower-case hex
	tcb     snp.Components
}

// String is the key for people.
func (k key) String() string {
	return fmt.Sprintf("VCEK of %s chip %s at %s", k.product, k.chip, k.tcb)
}

// name is the key in words that are safe in the name of a file.
func (k key) name() string {
	return fmt.Sprintf("%s-%s-%02x%02x%02x%02x%02x%s", k.product, k.chip, k.tcb.FMC, k.tcb.BootLoader, k.tcb.TEE, k.tcb.SNP, k.tcb.Microcode, copyExt)
}

// path is what follows the base URL (sev-snp.md section 2).
func (k key) path() string { return fmt.Sprintf("vcek/v1/%s/%s", k.product, k.chip) }

// query names the TCB.
func (k key) query() string {
	q := fmt.Sprintf("blSPL=%02d&teeSPL=%02d&snpSPL=%02d&ucodeSPL=%02d", k.tcb.BootLoader, k.tcb.TEE, k.tcb.SNP, k.tcb.Microcode)
	if hasFMC(k.product) {
		q += fmt.Sprintf("&fmcSPL=%02d", k.tcb.FMC)
	}
	return q
}

// hasFMC reports whether an FMC is among the components of the product.
func hasFMC(p snp.Product) bool {
	return p.Components(snp.TCB{1, 1, 1, 1, 1, 1, 1, 1}).FMC != 0
}

// keysOf gives what a report may be signed with. Of the TCB the components alone count: a report can say anything in the bytes between.
func (c *Client) keysOf(r *snp.Report) (keys []key, refusal *evidence.Refusal) {
	if refusal := askable(r); refusal != nil {
		return nil, refusal
	}
	products, refusal := c.productsOf(r)
	if refusal != nil {
		return nil, refusal
	}
	for _, p := range products {
		size := p.HardwareIDSize()
		if anySet(r.ChipID[size:]) {
			continue
		}
		keys = append(keys, key{p, hex.EncodeToString(r.ChipID[:size]), p.Components(r.ReportedTCB)})
	}
	if len(keys) == 0 {
		return nil, evidence.Refuse(evidence.SNPChipID, "the chip id of the report is not one of its product").
			Want("bytes and zeros as chips of the product have them", hex.EncodeToString(r.ChipID[:])).Do("send the report exactly as the platform gave it")
	}
	return keys, nil
}

// askable refuses reports for which AMD's service has no certificate to ask for.
func askable(r *snp.Report) *evidence.Refusal {
	const send = "send VcekCertChain with the report: the certificates as the host gives them"
	switch {
	case r.SigningKey == snp.VLEK:
		return evidence.Refuse(evidence.SNPChain, "no certificates came with a report that is signed with a VLEK").Because(snp.ErrMissing).
			Want("VcekCertChain with the VLEK, ASVK and ARK in PEM", "none: AMD gives VLEKs to cloud providers only").Do(send)
	case r.SigningKey != snp.VCEK:
		return evidence.Refuse(evidence.SNPSigningKey, "nobody signed the report").Want(snp.VCEK, r.SigningKey).
			Do("have the platform sign its reports: one that nobody signed proves nothing")
	case !anySet(r.ChipID[:]):
		return evidence.Refuse(evidence.SNPChipID, "no certificates came with a report that does not tell its chip").Because(snp.ErrMissing).
			Want("VcekCertChain with the VCEK, ASK and ARK in PEM, or a chip id to ask AMD for", "none and zeros: masked").Do(send)
	}
	return nil
}

// versionCPUID is the version of reports from which on they name their processor.
const versionCPUID = 3

// productsOf gives the products that the report can be of, of those whose roots are trusted.
func (c *Client) productsOf(r *snp.Report) ([]snp.Product, *evidence.Refusal) {
	if r.Version < versionCPUID {
		short := !anySet(r.ChipID[snp.Turin.HardwareIDSize():])
		other := func(p snp.Product) bool { return short != (p.HardwareIDSize() == snp.Turin.HardwareIDSize()) }
		return slices.DeleteFunc(slices.Clone(c.products), other), nil
	}
	p, err := r.Product()
	if err != nil {
		return nil, evidence.Refuse(evidence.SNPProduct, "the processor of the report is not known").Because(err)
	}
	if !slices.Contains(c.products, p) {
		return nil, evidence.Refuse(evidence.UntrustedRoot, "no root of the report's product is trusted").
			Want("a product with a trusted ARK", string(p)).Do("use a platform whose ARK the service trusts")
	}
	return []snp.Product{p}, nil
}

func anySet(b []byte) bool {
	return slices.ContainsFunc(b, func(b byte) bool { return b != 0 })
}

// errAbsent says that the service was asked and knows no such VCEK.
var errAbsent = errors.New("not known")

// absent is the refusal of a report whose VCEK the service does not know.
func absent(keys []key) *evidence.Refusal {
	return missing(keys, "AMD's key service knows no VCEK of the report's chip and TCB").
		Do("send VcekCertChain with the report, if the platform is genuine: its chip id and reported TCB are not known to AMD")
}

// notStored is the refusal where nobody is asked.
func notStored(keys []key) *evidence.Refusal {
	return missing(keys, "the VCEK of the report's chip and TCB is not at hand, and the service asks nobody for it").
		Do("send VcekCertChain with the report, or have the operator add the certificate (amd_certificates)")
}

func missing(keys []key, what string) *evidence.Refusal {
	return evidence.Refuse(evidence.SNPChain, "%s", what).Because(snp.ErrMissing).Want(keys[0], "none")
}
