package doctor

// tpm judges attestation by a TPM: the device is needed and the log that explains its PCRs; the list of IMA is not.
func (r *Report) tpm() Verdict {
	v := Verdict{Kind: "tpm", Answer: Cannot}
	version, device, log := r.get(TPMVersion), r.get(TPMDevice), r.get(BootLog)
	switch {
	case version.State == Fault:
		v.need("it is "+version.Detail, version)
	case device.State == Absent && version.State == Absent:
		v.need("there is no TPM", version)
	case device.State != Ready:
		v.need("the TPM cannot be opened", device)
	case log.State != Ready:
		v.need("the TPM is there, but no log that explains its PCRs to the service", log)
		v.Do = append(v.Do, "or quote only PCRs that nothing was measured into, which proves the TPM and not what booted")
	default:
		v.Answer, v.Why = Can, "the TPM can be opened and the log of the boot can be read"
		v.cautions(r)
	}
	return v
}

// cautions tells what to mind on a machine whose TPM can attest.
func (v *Verdict) cautions(r *Report) {
	if ima := r.get(IMALog); ima.State == Denied || ima.State == Fault {
		v.Do = append(v.Do, "do not quote PCR 10: the list of IMA cannot be read ("+string(ima.State)+")")
	}
	if boot := r.get(SecureBoot); boot.Value != "on" {
		v.Do = append(v.Do, "mind that a policy that wants Secure Boot will refuse: it is not known to be on")
	}
	v.Do = append(v.Do, "have the attestation key certified: assay attest tpm --enroll, or a CA that the service trusts")
}

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

// sgx judges attestation by an SGX enclave: quotes come from Intel's service, or are made in the process that may use the provisioning key.
func (r *Report) sgx() Verdict {
	v := Verdict{Kind: "sgx", Answer: Cannot}
	enclave, provision, aesm := r.get(SGXEnclave), r.get(SGXProvision), r.get(SGXAESM)
	switch {
	case enclave.State == Absent:
		v.need("enclaves cannot be loaded", enclave)
		v.Do = append(v.Do, "turn SGX on in the firmware's settings of a processor that has it, and use a kernel of 5.11 or newer")
	case enclave.State != Ready:
		v.need("enclaves cannot be loaded", enclave)
	case aesm.State == Ready:
		v.Answer, v.Why = Can, "enclaves can be loaded, and Intel's service (aesmd) makes quotes"
	case provision.State == Ready:
		v.Answer, v.Why = Can, "enclaves can be loaded, and quotes made in the process (Intel's libsgx-dcap-ql)"
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
	v := Verdict{Kind: "snp", Answer: Cannot}
	guest, tsm := r.get(SNPGuest), r.get(TSMReport)
	switch {
	case guest.State == Ready:
		v.Answer, v.Why = Can, "a guest of SEV-SNP, whose device makes reports"
		if tsm.State != Ready {
			v.Do = append(v.Do, "programs that want "+pathTSM+" do not find it")
		}
	case guest.State == Absent:
		v.need("no guest of SEV-SNP", guest)
		v.Do = append(v.Do, "start the virtual machine as one of SEV-SNP and load the module sev-guest (kernel 5.19 or newer); on Azure the paravisor has the device: see azureguest")
	default:
		v.need("a guest of SEV-SNP, whose device cannot be opened", guest)
	}
	return v
}

// tdx judges attestation by a trust domain: the device gives reports, which only the kernel's configfs turns into quotes.
func (r *Report) tdx() Verdict {
	v := Verdict{Kind: "tdx", Answer: Cannot}
	guest, tsm := r.get(TDXGuest), r.get(TSMReport)
	switch {
	case guest.State == Absent:
		v.need("no trust domain", guest)
		v.Do = append(v.Do, "start the virtual machine as a trust domain and load the module tdx-guest (kernel 6.2 or newer); on Azure the paravisor has the device: see azureguest")
	case guest.State != Ready:
		v.need("a trust domain, whose device cannot be opened", guest)
	case tsm.State != Ready:
		v.need("a trust domain, but without the kernel's way to quotes", tsm)
	default:
		v.Answer, v.Why = Can, "a trust domain, whose kernel makes quotes"
		v.Do = append(v.Do, "mind that the host must run Intel's quote generation service")
	}
	return v
}

// azureGuest judges attestation by a confidential machine of Azure (azure-guest.md section 1). That it is one says a report in its TPM.
func (r *Report) azureGuest() Verdict {
	v := Verdict{Kind: "azureguest", Answer: Cannot}
	azure, device := r.get(Azure), r.get(TPMDevice)
	switch {
	case azure.State != Ready:
		v.need("not a machine of Azure", azure)
	case device.State != Ready:
		v.need("a machine of Azure, whose virtual TPM cannot be opened", device)
	default:
		v.Answer, v.Why = Unknown, "a machine of Azure with a virtual TPM; whether it is a confidential one says NV index 01400001 of the TPM, which is not read here"
		v.Do = append(v.Do, "look whether the index is there: tpm2_nvreadpublic 0x01400001")
	}
	return v
}
