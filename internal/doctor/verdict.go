package doctor

// judged begins a verdict: it cannot, until it is said otherwise.
func judged(kind string) Verdict { return Verdict{Kind: kind, Answer: Cannot} }

// need says what is missing, and what the finding says of it.
func (v *Verdict) need(why string, f Finding) {
	v.Why = why + " (" + f.Path + ": " + string(f.State)
	if f.Detail != "" {
		v.Why += ", " + f.Detail
	}
	v.Why += ")"
	if f.Remedy != "" {
		v.Do = append(v.Do, f.Remedy)
	}
}

// lacks reports whether something cannot be used, and says why: it is absent, for which there is something to do, or closed.
func (v *Verdict) lacks(f Finding, absent, closed string, do ...string) bool {
	switch f.State {
	case Ready:
		return false
	case Absent:
		v.need(absent, f)
		v.Do = append(v.Do, do...)
	default:
		v.need(closed, f)
	}
	return true
}

// can is the good answer, with what to mind.
func (v *Verdict) can(why string, mind ...string) {
	v.Answer, v.Why, v.Do = Can, why, mind
}

// tpm judges attestation by a TPM: the device is needed and the log that explains its PCRs; the list of IMA is not.
func (r *Report) tpm() Verdict {
	v := judged("tpm")
	version, device, log := r.get(TPMVersion), r.get(TPMDevice), r.get(BootLog)
	const noLog = "the TPM is there, but no log that explains its PCRs to the service"
	switch {
	case version.State == Fault:
		v.need("it is "+version.Detail, version)
	case device.State == Absent && version.State == Absent:
		v.need("there is no TPM", version)
	case v.lacks(device, "the TPM cannot be opened", "the TPM cannot be opened"):
	case v.lacks(log, noLog, noLog):
		v.Do = append(v.Do, "or quote only PCRs that nothing was measured into, which proves the TPM and not what booted")
	default:
		v.can("the TPM can be opened and the log of the boot can be read", r.cautions()...)
	}
	return v
}

// cautions tells what to mind on a machine whose TPM can attest.
func (r *Report) cautions() []string {
	var mind []string
	if ima := r.get(IMALog); ima.State == Denied || ima.State == Fault {
		mind = append(mind, "do not quote PCR 10: the list of IMA cannot be read ("+string(ima.State)+")")
	}
	if boot := r.get(SecureBoot); boot.Value != "on" {
		mind = append(mind, "mind that a policy that wants Secure Boot will refuse: it is not known to be on")
	}
	return append(mind, "have the attestation key certified: "+r.enrolment())
}

// enrolment says how the service certifies the attestation key, by what the TPM has of its maker.
func (r *Report) enrolment() string {
	const enroll, pin = "assay attest tpm --enroll", ", after the owner of the provider has pinned the endorsement key (assay aik pin FILE --kind ek)"
	for _, f := range r.Findings {
		switch {
		case f.Name != EKCertificate:
		case f.State == Skipped || f.State == Fault && f.Issuer == nil:
			return enroll + ", or a CA that the service trusts"
		case f.Path != nv(ekRSA) && f.Path != nv(ekECC):
		case f.State != Ready:
			return enroll + pin
		default:
			return enroll + ", with a service whose ek_roots have the root above " + f.Issuer.String() + " (assay roots import)"
		}
	}
	return enroll + pin
}

// String names the issuer for people.
func (i *Issuer) String() string {
	text := i.Subject
	if i.KeyID != "" {
		text += ", key id " + i.KeyID
	}
	for _, url := range i.URLs {
		text += ", to be had at " + url
	}
	return text
}

// attestEnclave is how an enclave is attested.
const attestEnclave = "send a quote that an enclave made: assay attest sgx FILE; in an enclave of Gramine: assay attest sgx --collect"

// sgx judges attestation by an SGX enclave: quotes come from Intel's service, or are made in the process that may use the provisioning key.
func (r *Report) sgx() Verdict {
	v := judged("sgx")
	provision, aesm := r.get(SGXProvision), r.get(SGXAESM)
	const closed = "enclaves cannot be loaded"
	switch {
	case v.lacks(r.get(SGXEnclave), closed, closed, "turn SGX on in the firmware's settings of a processor that has it, and use a kernel of 5.11 or newer"):
	case aesm.State == Ready:
		v.can("enclaves can be loaded, and Intel's service (aesmd) makes quotes", attestEnclave)
	case provision.State == Ready:
		v.can("enclaves can be loaded, and quotes made in the process (Intel's libsgx-dcap-ql)", attestEnclave)
	default:
		v.need("enclaves can be loaded, but nothing makes quotes of them", aesm)
		v.Do = append(v.Do, "install and start Intel's aesmd, or let this user open "+provision.Path)
		if provision.Remedy != "" {
			v.Do = append(v.Do, provision.Path+": "+provision.Remedy)
		}
	}
	return v
}

// snp judges attestation by a guest of SEV-SNP.
func (r *Report) snp() Verdict {
	v := judged("snp")
	const start = "start the virtual machine as one of SEV-SNP and load the module sev-guest (kernel 5.19 or newer); on Azure the paravisor has the device: see azureguest"
	if v.lacks(r.get(SNPGuest), "no guest of SEV-SNP", "a guest of SEV-SNP, whose device cannot be opened", start) {
		return v
	}
	v.can("a guest of SEV-SNP, whose device makes reports", "attest as root: assay attest snp --collect")
	if r.get(TSMReport).State != Ready {
		v.Do = append(v.Do, "mind that other programs may want "+pathTSM+", which is not there; assay does not need it")
	}
	return v
}

// tdx judges attestation by a trust domain: the device gives reports, which only the kernel's configfs turns into quotes.
func (r *Report) tdx() Verdict {
	v := judged("tdx")
	const start = "start the virtual machine as a trust domain and load the module tdx-guest (kernel 6.2 or newer); on Azure the paravisor has the device: see azureguest"
	const noWay = "a trust domain, but without the kernel's way to quotes"
	switch {
	case v.lacks(r.get(TDXGuest), "no trust domain", "a trust domain, whose device cannot be opened", start):
	case v.lacks(r.get(TSMReport), noWay, noWay):
	default:
		v.can("a trust domain, whose kernel makes quotes", "attest as root: assay attest tdx --collect", "mind that the host must run Intel's quote generation service")
	}
	return v
}

// azureGuest judges attestation by a machine of Azure (azure-guest.md section 1). Which kind it is says a report in its TPM.
func (r *Report) azureGuest() Verdict {
	v := judged("azureguest")
	const closed = "a machine of Azure, whose virtual TPM cannot be opened"
	const elsewhere = "attest in another way: this one is for machines of Azure with a virtual TPM"
	const attest = "attest as root: assay attest azureguest --endpoint URL"
	report := r.get(AzureReport)
	switch {
	case v.lacks(r.get(Azure), "not a machine of Azure", "not a machine of Azure", elsewhere):
	case v.lacks(r.get(TPMDevice), closed, closed):
	case report.Value == "snp" || report.Value == "tdx":
		v.can("a confidential machine of Azure: its TPM has a report of its hardware ("+report.Value+")", attest)
	case report.State == Absent || report.Value == "vbs" || report.Value == "trusted-vm":
		v.can("a machine of Azure with a virtual TPM (trusted launch); no report of its hardware vouches for it",
			attest, "take a size of confidential machines, if a policy wants SEV-SNP or TDX")
	default:
		v.need("a machine of Azure with a virtual TPM; whether it is a confidential one is not known", report)
		v.Answer = Unknown
		v.Do = append(v.Do, "look what the index has: tpm2_nvread 0x01400001")
	}
	return v
}
