package policy

// The tables of claims. Where a kind or an issuer is not given it is String and AttestationService.

// sgxClaims are the claims of an enclave under their current names (policy.md section 8, tokens.md section 6).
func sgxClaims() []ClaimInfo {
	return []ClaimInfo{
		{Name: "x-ms-sgx-is-debuggable", Kind: Boolean, Meaning: "Whether a debugger can open the enclave."},
		{Name: "x-ms-sgx-product-id", Kind: Integer, Meaning: "The enclave's product number (ISVPRODID)."},
		{Name: "x-ms-sgx-svn", Kind: Integer, Meaning: "The enclave's security version (ISVSVN)."},
		{Name: "x-ms-sgx-mrsigner", form: hexDigits(64), Meaning: "The hash of the key that signed the enclave."},
		{Name: "x-ms-sgx-mrenclave", form: hexDigits(64), Meaning: "The hash of the enclave's code and data."},
		{Name: "maa-ehd", form: base64URL(0), Optional: true, Meaning: "The runtime data of the request, where they were sent as binary."},
		{Name: collateralExpired, Kind: Boolean, Meaning: "Whether a pinned document past its date was used to judge the platform."},
	}
}

// oldSGXClaims are the same claims under the names of before 2021. The $ is part of the name.
func oldSGXClaims() []ClaimInfo {
	return []ClaimInfo{
		{Name: "$is-debuggable", Kind: Boolean, Deprecated: "x-ms-sgx-is-debuggable", Meaning: "Old name of x-ms-sgx-is-debuggable."},
		{Name: "$product-id", Kind: Integer, Deprecated: "x-ms-sgx-product-id", Meaning: "Old name of x-ms-sgx-product-id."},
		{Name: "$svn", Kind: Integer, Deprecated: "x-ms-sgx-svn", Meaning: "Old name of x-ms-sgx-svn."},
		{Name: "$sgx-mrsigner", form: hexDigits(64), Deprecated: "x-ms-sgx-mrsigner", Meaning: "Old name of x-ms-sgx-mrsigner."},
		{Name: "$sgx-mrenclave", form: hexDigits(64), Deprecated: "x-ms-sgx-mrenclave", Meaning: "Old name of x-ms-sgx-mrenclave."},
		{Name: "$tee", Values: []string{"sgx"}, Deprecated: AttestationType, Meaning: "Old name of x-ms-attestation-type."},
	}
}

// snpClaims are the claims of an SEV-SNP report (tokens.md section 7).
func snpClaims() []ClaimInfo {
	return []ClaimInfo{
		{Name: "x-ms-sevsnpvm-is-debuggable", Kind: Boolean, Meaning: "Whether the guest's policy allows debugging by the host."},
		{Name: "x-ms-sevsnpvm-migration-allowed", Kind: Boolean, Meaning: "Whether the guest's policy allows a migration agent."},
		{Name: "x-ms-sevsnpvm-smt-allowed", Kind: Boolean, Meaning: "Whether the guest's policy allows simultaneous multithreading."},
		{Name: "x-ms-sevsnpvm-vmpl", Kind: Integer, Meaning: "The privilege level at which the report was requested, 0 for the paravisor."},
		{Name: "x-ms-sevsnpvm-launchmeasurement", form: hexDigits(96), Meaning: "The measurement of the guest at its launch."},
		{Name: "x-ms-sevsnpvm-hostdata", form: hexDigits(64), Meaning: "The data that the host gave at launch, such as the hash of a container policy."},
		{Name: "x-ms-sevsnpvm-reportdata", form: hexDigits(128), Meaning: "The data that the guest gave for the report."},
		{Name: "x-ms-sevsnpvm-reportid", form: hexDigits(64), Meaning: "The identity of this guest, new at each launch."},
		{Name: "x-ms-sevsnpvm-idkeydigest", form: hexDigits(96), Meaning: "The hash of the key that signed the identity block."},
		{Name: "x-ms-sevsnpvm-authorkeydigest", form: hexDigits(96), Meaning: "The hash of the key that signed the identity key, zero if there is none."},
		{Name: "x-ms-sevsnpvm-familyId", form: hexDigits(32), Meaning: "The family of the identity block."},
		{Name: "x-ms-sevsnpvm-imageId", form: hexDigits(32), Meaning: "The image of the identity block."},
		{Name: "x-ms-sevsnpvm-guestsvn", Kind: Integer, Meaning: "The security version of the identity block."},
		{Name: "x-ms-sevsnpvm-bootloader-svn", Kind: Integer, Meaning: "The reported security version of the secure processor's boot loader."},
		{Name: "x-ms-sevsnpvm-tee-svn", Kind: Integer, Meaning: "The reported security version of the secure processor's operating system."},
		{Name: "x-ms-sevsnpvm-snpfw-svn", Kind: Integer, Meaning: "The reported security version of the SNP firmware."},
		{Name: "x-ms-sevsnpvm-microcode-svn", Kind: Integer, Meaning: "The reported security version of the microcode."},
	}
}

// tdxClaims are the claims of a TD quote (tokens.md section 8).
func tdxClaims() []ClaimInfo {
	return []ClaimInfo{
		{Name: "attester_tcb_status", Values: tcbStatuses(), Meaning: "Intel's verdict on the security level of the platform."},
		{Name: "dbgstat", Values: []string{"disabled", "enabled"}, Meaning: "Whether the trust domain can be debugged."},
		{Name: "eat_profile", Values: []string{"https://aka.ms/maa-eat-profile-tdxvm"}, Meaning: "The profile that the token follows."},
		{Name: "intuse", Values: []string{"generic"}, Meaning: "The intended use of the token."},
		{Name: "tdx_mrtd", form: hexDigits(96), Meaning: "The measurement of the trust domain's initial contents."},
		{Name: "tdx_rtmr0", form: hexDigits(96), Meaning: "The runtime measurement register 0, usually the firmware's configuration."},
		{Name: "tdx_rtmr1", form: hexDigits(96), Meaning: "The runtime measurement register 1, usually boot loader and kernel."},
		{Name: "tdx_rtmr2", form: hexDigits(96), Meaning: "The runtime measurement register 2, usually kernel command line and initial file system."},
		{Name: "tdx_rtmr3", form: hexDigits(96), Meaning: "The runtime measurement register 3, for applications."},
		{Name: "tdx_mrconfigid", form: hexDigits(96), Meaning: "The configuration that the owner set at launch."},
		{Name: "tdx_mrowner", form: hexDigits(96), Meaning: "The owner that was set at launch."},
		{Name: "tdx_mrownerconfig", form: hexDigits(96), Meaning: "The owner's configuration that was set at launch."},
		{Name: "tdx_mrseam", form: hexDigits(96), Meaning: "The measurement of the TDX module."},
		{Name: "tdx_mrsignerseam", form: hexDigits(96), Meaning: "The signer of the TDX module, zero for Intel's."},
		{Name: "tdx_report_data", form: hexDigits(128), Meaning: "The data that the trust domain gave for the quote."},
		{Name: "tdx_seam_attributes", form: hexDigits(16), Meaning: "The attributes of the TDX module."},
		{Name: "tdx_seamsvn", Kind: Integer, Meaning: "The security version of the TDX module."},
		{Name: "tdx_tee_tcb_svn", form: hexDigits(32), Meaning: "The security versions of the TDX components."},
		{Name: "tdx_xfam", form: hexDigits(16), Meaning: "The processor features that the trust domain may use."},
		{Name: "tdx_td_attributes", form: hexDigits(16), Meaning: "The attributes of the trust domain."},
		{Name: "tdx_td_attributes_debug", Kind: Boolean, Meaning: "Whether the trust domain can be debugged (attribute bit 0)."},
		{Name: "tdx_td_attributes_septve_disable", Kind: Boolean, Meaning: "Whether page faults of the secure page table stay out of the guest (attribute bit 28)."},
		{Name: "tdx_td_attributes_protection_keys", Kind: Boolean, Meaning: "Whether supervisor protection keys may be used (attribute bit 30)."},
		{Name: "tdx_td_attributes_key_locker", Kind: Boolean, Meaning: "Whether Key Locker may be used (attribute bit 31)."},
		{Name: "tdx_td_attributes_perfmon", Kind: Boolean, Meaning: "Whether performance monitoring may be used (attribute bit 63)."},
		{Name: collateralExpired, Kind: Boolean, Meaning: "Whether a pinned document past its date was used to judge the platform."},
	}
}

// tcbStatuses are the words of sgx-tdx.md section 8.
func tcbStatuses() []string {
	return []string{
		"UpToDate", "SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded", "OutOfDate",
		"OutOfDateConfigurationNeeded", "Revoked", "TDRelaunchAdvised", "TDRelaunchAdvisedConfigurationNeeded",
	}
}

// dataClaims are what SEV-SNP and TDX requests may bring along (tokens.md sections 4 and 5).
func dataClaims() []ClaimInfo {
	return []ClaimInfo{
		{Name: "x-ms-runtime", form: form{alphabet: jsonText}, Optional: true, Meaning: "The runtime data of the request, where they were sent as JSON."},
		{Name: "x-ms-inittime", form: form{alphabet: jsonText}, Optional: true, Meaning: "The initialization data of the request, where they were sent as JSON."},
		{Name: "nonce", Optional: true, Meaning: "The nonce of the request; any text of the client's."},
	}
}

// complianceClaim is made for platforms that match a reference value (tokens.md section 5.3).
func complianceClaim() []ClaimInfo {
	return []ClaimInfo{
		{Name: "x-ms-compliance-status", form: words(`a word of the reference values, such as "azure-compliant-cvm"`),
			Optional: true, Meaning: "Which approved reference values the platform matches."},
	}
}

// guestClaims are the claims of an Azure guest (tokens.md section 9). Objects are one claim with their JSON text.
func guestClaims() []ClaimInfo {
	return []ClaimInfo{
		{Name: "secureboot", Kind: Boolean, Meaning: "Whether secure boot was on, by the event log."},
		{Name: "x-ms-azurevm-default-securebootkeysvalidated", Kind: Boolean, Meaning: "Whether the secure-boot keys are the default ones."},
		{Name: "x-ms-azurevm-dbvalidated", Kind: Boolean, Meaning: "Whether the list of allowed boot signers is as expected."},
		{Name: "x-ms-azurevm-dbxvalidated", Kind: Boolean, Meaning: "Whether the list of forbidden boot signers is as expected."},
		{Name: "x-ms-azurevm-debuggersdisabled", Kind: Boolean, Meaning: "Whether boot, kernel and hypervisor debugging are all off."},
		{Name: "x-ms-azurevm-signingdisabled", Kind: Boolean, Meaning: "Whether test and flight signing are both off."},
		{Name: "x-ms-azurevm-bootdebug-enabled", Kind: Boolean, Meaning: "Whether boot debugging is on."},
		{Name: "x-ms-azurevm-kerneldebug-enabled", Kind: Boolean, Meaning: "Whether kernel debugging is on."},
		{Name: "x-ms-azurevm-hypervisordebug-enabled", Kind: Boolean, Meaning: "Whether hypervisor debugging is on."},
		{Name: "x-ms-azurevm-testsigning-enabled", Kind: Boolean, Meaning: "Whether test-signed code may run."},
		{Name: "x-ms-azurevm-flightsigning-enabled", Kind: Boolean, Meaning: "Whether flight-signed code may run."},
		{Name: "x-ms-azurevm-elam-enabled", Kind: Boolean, Meaning: "Whether an early-launch antimalware driver was loaded."},
		{Name: "x-ms-azurevm-hvci-policy", Kind: Integer, Meaning: "The policy of hypervisor-enforced code integrity, 0 for none."},
		{Name: "x-ms-azurevm-is-windows", Kind: Boolean, Meaning: "Whether the guest runs Windows."},
		{Name: "x-ms-azurevm-attested-pcrs", Kind: Integer, Several: true, Meaning: "The PCRs that the quote covers, one claim for each."},
		{Name: "x-ms-azurevm-vmid", form: form{alphabet: upperGUID}, Optional: true, Meaning: "The identity of the virtual machine."},
		{Name: "x-ms-azurevm-attestation-protocol-ver", form: words(`such as "2.0"`), Meaning: "The version of the request's protocol."},
		{Name: "x-ms-azurevm-ostype", form: words(`such as "Linux"`), Optional: true, Meaning: "The operating system as the request names it; nothing proves it."},
		{Name: "x-ms-azurevm-osdistro", Optional: true, Meaning: "The distribution as the request names it; nothing proves it."},
		{Name: "x-ms-azurevm-osbuild", Optional: true, Meaning: "The build as the request names it; nothing proves it."},
		{Name: "x-ms-azurevm-osversion-major", Kind: Integer, Meaning: "The major version as the request names it; nothing proves it."},
		{Name: "x-ms-azurevm-osversion-minor", Kind: Integer, Meaning: "The minor version as the request names it; nothing proves it."},
		{Name: "x-ms-azurevm-os-provisioning", Optional: true, loose: true, Meaning: "How the system was provisioned; only newer clients send it."},
		{Name: "x-ms-isolation-tee", form: form{alphabet: jsonText}, Optional: true, Meaning: "The claims of the hardware report of a confidential virtual machine."},
		{Name: "x-ms-runtime", form: form{alphabet: jsonText}, Meaning: "The payload of the client and the key to which the token is encrypted."},
		{Name: collateralExpired, Kind: Boolean, Optional: true, Meaning: "Whether a pinned document past its date was used to judge the platform of a TDX guest."},
	}
}

// tpmClaims are the scalar claims of a TPM or VBS request (tpm.md section 8). They are made true or false, never left out.
func tpmClaims() []ClaimInfo {
	return []ClaimInfo{
		{Name: "aikValidated", Kind: Boolean, Meaning: "Whether the certificate of the attestation key is valid."},
		{Name: "aikPubHash", form: form{alphabet: base64Text, length: 44}, Meaning: "The SHA-256 of the attestation key's SubjectPublicKeyInfo."},
		{Name: "tpmVersion", Kind: Integer, Values: []string{"2"}, Meaning: "The major version of the TPM."},
		{Name: "secureBootEnabled", Kind: Boolean, Meaning: "Whether secure boot was on, by the event log."},
		{Name: "bootDebuggingDisabled", Kind: Boolean, Meaning: "Whether the log says that boot debugging is off."},
		{Name: "notSafeMode", Kind: Boolean, Meaning: "Whether Windows did not start in safe mode; true on systems that log nothing of it."},
		{Name: "notWinPE", Kind: Boolean, Meaning: "Whether the system is not Windows PE; true on systems that log nothing of it."},
		{Name: "vbsEnabled", Kind: Boolean, Meaning: "Whether virtualization-based security is required and enforced."},
		{Name: "iommuEnabled", Kind: Boolean, Meaning: "Whether virtualization-based security requires an IOMMU."},
		{Name: "vbsReportPresent", Kind: Boolean, Meaning: "Whether the request held a report of a VBS enclave that verified."},
		{Name: "vsmReportPresent", Kind: Boolean, Deprecated: "vbsReportPresent", Meaning: "The name of vbsReportPresent in a published sample; Microsoft's lists of claims do not have it."},
	}
}

// vbsClaims are made only of a verified enclave report (tpm.md section 8.1).
func vbsClaims() []ClaimInfo {
	return []ClaimInfo{
		{Name: "enclaveOwnerId", form: base64URL(43), Optional: true, Meaning: "The owner of the VBS enclave."},
		{Name: "enclaveAuthorId", form: base64URL(43), Optional: true, Meaning: "The author of the VBS enclave."},
		{Name: "enclaveFamilyId", form: base64URL(22), Optional: true, Meaning: "The family of the VBS enclave."},
		{Name: "enclaveImageId", form: base64URL(22), Optional: true, Meaning: "The image of the VBS enclave."},
		{Name: "enclaveSvn", Kind: Integer, Optional: true, Meaning: "The security version of the VBS enclave."},
		{Name: "enclavePlatformSvn", Kind: Integer, Optional: true, Meaning: "The security version of the platform under the VBS enclave."},
		{Name: "enclaveFlags", Kind: Integer, Optional: true, Meaning: "Bits 1, 2 and 4: full debugging enabled, dynamic debugging enabled, dynamic debugging active."},
	}
}

// jsonClaims hold JSON text (tpm.md sections 8.2 and 9).
func jsonClaims() []ClaimInfo {
	text := form{alphabet: jsonText}
	return []ClaimInfo{
		{Name: "events", form: text, Since: 2, Meaning: "The event logs of the current boot."},
		{Name: "bootEvents", form: text, Since: 2, Optional: true, Meaning: "The event logs of the boot before the system resumed, where they were sent apart."},
		{Name: readOnlyClaim, form: text, Since: 2, ReadOnly: true, Meaning: "The quoted PCRs with their digests, in base64url unless the provider is set to hexadecimal."},
		{Name: "x-ms-tpm-request-key", form: text, Optional: true, Meaning: "The key that signed the request, with what is proved of it."},
		{Name: "x-ms-tpm-other-keys", form: text, Optional: true, Meaning: "The other keys of the request, with what is proved of them."},
	}
}

// clientClaims are claims that clients are known to send (tpm.md section 8.3); they may send any other too.
func clientClaims() []ClaimInfo {
	return []ClaimInfo{
		{Name: "aas-ehd", Issuer: CustomClaim, Optional: true, Meaning: "The public key of a VBS enclave as its client sends it, which SQL drivers look for in the token."},
	}
}
