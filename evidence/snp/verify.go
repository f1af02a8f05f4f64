package snp

import (
	"cmp"
	"crypto/x509"
	"encoding/hex"
	"fmt"

	"github.com/assay-attestation/assay/evidence"
)

// Versions of reports that are accepted unless [Options] say otherwise (limit snp_report_versions).
const (
	minVersion = 2
	maxVersion = 5
)

// Verify verifies a report against its signer, in the order of sev-snp.md section 3. The journal, if any, records each check. The error is an
// [evidence.Refusal] that names the first check that failed.
func Verify(r *Report, s *Signer, opt Options) (*Verified, error) {
	if r == nil || s == nil || s.leaf == nil {
		return nil, opt.Journal.Fail(incomplete("a report and its signer"))
	}
	report, refusal := readReport(r.raw[:])
	if refusal != nil {
		return nil, opt.Journal.Fail(refusal)
	}
	run := &verification{report, s, opt}
	steps := []func() *evidence.Refusal{
		run.version, run.signingKey, run.chain, run.product, run.revocation, run.signature, run.chipID, run.tcb, run.tcbOrder,
	}
	for _, step := range steps {
		if refusal := step(); refusal != nil {
			return nil, opt.Journal.Fail(refusal)
		}
	}
	return &Verified{Report: report, Signer: s}, nil
}

// verification is one run of Verify.
type verification struct {
	r   *Report
	s   *Signer
	opt Options
}

func (v *verification) version() *evidence.Refusal {
	if refusal := v.opt.reads(v.r); refusal != nil {
		return refusal
	}
	v.opt.Journal.Pass(evidence.SNPFormat, fmt.Sprintf("version %d", v.r.Version))
	return nil
}

// Reads checks that reports of the version of r are accepted, for callers that fetch certificates before [Verify]. The error is an
// [evidence.Refusal].
func (opt Options) Reads(r *Report) error {
	if refusal := opt.reads(r); refusal != nil {
		return refusal
	}
	return nil
}

func (opt *Options) reads(r *Report) *evidence.Refusal {
	lowest, highest := cmp.Or(opt.MinVersion, minVersion), cmp.Or(opt.MaxVersion, maxVersion)
	if r.Version >= lowest && r.Version <= highest {
		return nil
	}
	return evidence.Refuse(evidence.SNPFormat, "a report of this version is not accepted").
		Want(fmt.Sprintf("version %d to %d", lowest, highest), r.Version).
		Do("update the firmware of the platform, or change the limit snp_report_versions")
}

func (v *verification) signingKey() *evidence.Refusal {
	if v.r.SigningKey != v.s.Kind {
		return evidence.Refuse(evidence.SNPSigningKey, "the report is not signed by a key of the kind of the certificate").
			Want(v.s.Kind, v.r.SigningKey).Do("send the certificate of the key that signed the report; a report that nobody signed proves nothing")
	}
	v.opt.Journal.Pass(evidence.SNPSigningKey, v.s.Kind.String())
	return nil
}

// chain records what [Roots.Trace] found, and judges the dates anew.
func (v *verification) chain() *evidence.Refusal {
	if refusal := v.s.inForce(v.opt.At); refusal != nil {
		return refusal
	}
	v.opt.Journal.Pass(evidence.UntrustedRoot, v.s.Anchor.String())
	v.opt.Journal.Pass(evidence.SNPChain, v.s.ask.Subject.CommonName)
	v.opt.Journal.Pass(evidence.SNPCertificate, v.s.TCB.String())
	v.opt.Journal.Pass(evidence.SNPExpired, stamp(v.s.leaf.NotAfter))
	return nil
}

// product compares the processor in the report with the product of the certificates. Before version 3 a report names none; then only the form of
// its chip id can contradict the certificates: Turin's ids have eight bytes.
func (v *verification) product() *evidence.Refusal {
	found, err := v.r.Product()
	switch {
	case v.r.Version >= versionCPUID && err != nil:
		return evidence.Refuse(evidence.SNPProduct, "the processor of the report is not known").Because(err)
	case v.r.Version >= versionCPUID && found != v.s.Product:
		return evidence.Refuse(evidence.SNPProduct, "report and certificates are of different products").Want(v.s.Product, found).
			Do("send the certificate chain of the platform that made the report")
	case v.r.Version < versionCPUID && v.r.shortChipID() && v.s.Product.HardwareIDSize() != shortID:
		return evidence.Refuse(evidence.SNPProduct, "the chip id of the report is not one of the certificates' product").
			Want(fmt.Sprintf("%d bytes", v.s.Product.HardwareIDSize()), fmt.Sprintf("%d bytes and zeros", shortID)).
			Do("send the certificate chain of the platform that made the report")
	}
	v.opt.Journal.Pass(evidence.SNPProduct, string(v.s.Product))
	return nil
}

// revocation holds ASK or ASVK, and the ARK, against the lists of the ARK. Lists of other ARKs say nothing about them.
func (v *verification) revocation() *evidence.Refusal {
	checked := false
	for _, crl := range v.opt.Revocations {
		if crl.issuer != v.s.Anchor {
			continue
		}
		if refusal := crl.current(v.opt); refusal != nil {
			return refusal
		}
		for _, cert := range []*x509.Certificate{v.s.ask, v.s.ark} {
			if crl.lists(cert.SerialNumber) {
				return evidence.Refuse(evidence.Revoked, "%q is revoked", cert.Subject.CommonName).
					Want("a serial number that is not in AMD's revocation list", fmt.Sprintf("serial 0x%x", cert.SerialNumber)).
					Do("AMD no longer vouches for this key: do not trust the platform")
			}
		}
		checked = true
	}
	if checked {
		v.opt.Journal.Pass(evidence.Revoked, "")
	} else {
		v.opt.Journal.Skip(evidence.Revoked, "no revocation list of this root is configured (snp_crls)")
	}
	return nil
}

func (v *verification) signature() *evidence.Refusal {
	if !v.r.signedBy(v.s.key) {
		return evidence.Refuse(evidence.SNPSignature, "the report is not signed by the key of the certificate").
			Want(fmt.Sprintf("a signature by the key of the %s", v.s.Kind), "one that does not verify").
			Do("send the report exactly as it was made, with the certificate of the chip and TCB that made it")
	}
	v.opt.Journal.Pass(evidence.SNPSignature, "")
	return nil
}

// chipID checks that the report is of the chip that the VCEK names. A VLEK belongs to no chip.
func (v *verification) chipID() *evidence.Refusal {
	masked := v.r.ChipID == [64]byte{}
	switch {
	case v.s.Kind == VLEK:
		v.opt.Journal.Skip(evidence.SNPChipID, "a VLEK belongs to no chip")
		return nil
	case masked && v.opt.AllowMaskedChipID:
		v.opt.Journal.Skip(evidence.SNPChipID, "the chip id is masked, and may be")
		return nil
	case masked:
		return evidence.Refuse(evidence.SNPChipID, "the report does not tell its chip").Want(hex.EncodeToString(v.s.HardwareID), "zeros: masked").
			Do("let the platform show the chip id, or allow masked ones (setting snp_allow_masked_chip_id)")
	}
	var want [64]byte
	copy(want[:], v.s.HardwareID)
	if v.r.ChipID != want {
		return evidence.Refuse(evidence.SNPChipID, "report and certificate are of different chips").
			Want(hex.EncodeToString(want[:]), hex.EncodeToString(v.r.ChipID[:])).Do("send the VCEK of the chip that made the report")
	}
	v.opt.Journal.Pass(evidence.SNPChipID, hex.EncodeToString(v.s.HardwareID))
	return nil
}

// tcb checks that the key was derived for the TCB that the report claims.
func (v *verification) tcb() *evidence.Refusal {
	if v.r.ReportedTCB != v.s.tcb {
		return evidence.Refuse(evidence.SNPTCB, "report and certificate are of different TCB versions").
			Want(v.s.TCB, v.s.Product.Components(v.r.ReportedTCB)).Do("send the certificate for the reported TCB of the platform")
	}
	return nil
}

// tcbOrder checks that the platform claims no more than it runs.
func (v *verification) tcbOrder() *evidence.Refusal {
	name, tcb := "reported", v.r.ReportedTCB
	if tcb.within(v.r.CurrentTCB) {
		name, tcb = "committed", v.r.CommittedTCB
	}
	if !tcb.within(v.r.CurrentTCB) {
		return evidence.Refuse(evidence.SNPTCB, "the %s TCB is above the current one", name).
			Want("at most "+v.s.Product.Components(v.r.CurrentTCB).String(), v.s.Product.Components(tcb)).
			Do("no genuine firmware says so: do not trust the platform")
	}
	v.opt.Journal.Pass(evidence.SNPTCB, v.s.TCB.String())
	return nil
}
