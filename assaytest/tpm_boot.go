package assaytest

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"math/big"
	"time"
)

// TPMBoot is how a simulated machine started. The zero value is a Linux without secure boot.
type TPMBoot struct {
	Windows    bool
	SecureBoot bool
	Banks      []crypto.Hash // of the log; nil stands for SHA-1 and SHA-256
	Legacy     bool          // the log is in the SHA-1 form
	// What Windows measures.
	Debugging   bool // boot and kernel debuggers are on
	SafeMode    bool
	WinPE       bool
	TestSigning bool
	WithoutVBS  bool // no secure kernel, hence no IDKS
	BootCounter uint64
	CommandLine string // what Linux was started with; empty: something usual
}

// Log gives the log of the boot of v's machine.
func (b TPMBoot) Log(v *TPMVendor) (*TPMLog, error) {
	l := &TPMLog{Banks: b.banks(), Legacy: b.Legacy}
	l.Add(StartupLocality(usualLocality))
	certificate, err := v.firmwareCertificate()
	if err != nil {
		return nil, err
	}
	b.firmware(l, certificate)
	if b.Windows {
		b.windows(l, v)
	} else {
		b.linux(l)
	}
	l.Add(TPMEvent{PCR: 5, Type: evEFIAction, Data: []byte(exitBootServices)},
		TPMEvent{PCR: 5, Type: evEFIAction, Data: []byte(exitBootSucceeded)})
	return l, nil
}

func (b TPMBoot) banks() []crypto.Hash {
	switch {
	case b.Legacy:
		return []crypto.Hash{crypto.SHA1}
	case b.Banks == nil:
		return []crypto.Hash{crypto.SHA1, crypto.SHA256}
	}
	return b.Banks
}

// firmwareCertificate is the certificate in PK, KEK and db that boot loaders are signed under.
func (v *TPMVendor) firmwareCertificate() ([]byte, error) {
	key := v.Key("firmware", P256)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2100), Subject: pkix.Name{CommonName: "Simulated secure boot signer"},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(nil, c, c, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("issuing the certificate of secure boot: %w", err)
	}
	return der, nil
}

// revokedLoaders are the hashes in dbx.
func revokedLoaders() [][]byte {
	return [][]byte{hashOf(crypto.SHA256, []byte("bad loader 1")), hashOf(crypto.SHA256, []byte("bad loader 2"))}
}

// firmware measures what happens before an operating system runs.
func (b TPMBoot) firmware(l *TPMLog, certificate []byte) {
	secureBoot := []byte{0}
	if b.SecureBoot {
		secureBoot[0] = 1
	}
	keys := signatureList(efiX509(), certificate)
	revoked := signatureList(efiSHA256(), revokedLoaders()...)
	l.Add(
		TPMEvent{PCR: 0, Type: evCRTMVersion, Data: append(utf16Bytes("simulated 1.0"), 0, 0)},
		TPMEvent{PCR: 0, Type: evFirmwareBlob, Data: firmwareBlob(), Measured: []byte("simulated firmware")},
		TPMEvent{PCR: 7, Type: evVariableConfig, Data: EFIVariable(efiGlobal(), "SecureBoot", secureBoot)},
		TPMEvent{PCR: 7, Type: evVariableConfig, Data: EFIVariable(efiGlobal(), "PK", keys)},
		TPMEvent{PCR: 7, Type: evVariableConfig, Data: EFIVariable(efiGlobal(), "KEK", keys)},
		TPMEvent{PCR: 7, Type: evVariableConfig, Data: EFIVariable(efiImage(), "db", keys)},
		TPMEvent{PCR: 7, Type: evVariableConfig, Data: EFIVariable(efiImage(), "dbx", revoked)},
		TPMEvent{PCR: 7, Type: evSeparator, Data: make([]byte, 4)},
		TPMEvent{PCR: 1, Type: evVariableBoot, Data: EFIVariable(efiGlobal(), "BootOrder", []byte{0, 0}), Measured: []byte{0, 0}},
		TPMEvent{PCR: 4, Type: evEFIAction, Data: []byte(callingApplication)},
	)
	for pcr := range uint32(7) {
		l.Add(TPMEvent{PCR: pcr, Type: evSeparator, Data: make([]byte, 4)})
	}
	if b.SecureBoot {
		owner := efiOwner()
		l.Add(TPMEvent{PCR: 7, Type: evVariableAuth, Data: EFIVariable(efiImage(), "db", append(owner[:], certificate...))})
	}
	l.Add(TPMEvent{PCR: 5, Type: evGPT, Data: partitionTable()},
		TPMEvent{PCR: 4, Type: evBootApplication, Data: bootApplication(), Measured: []byte("simulated boot loader")})
}

// linux measures what grub does: the text behind the prefix, without its NUL.
func (b TPMBoot) linux(l *TPMLog) {
	line := b.CommandLine
	if line == "" {
		line = "/vmlinuz root=/dev/sda1 ro"
	}
	l.Add(
		TPMEvent{PCR: 8, Type: evIPL, Data: []byte("grub_cmd: linux " + line + "\x00"), Measured: []byte("linux " + line)},
		TPMEvent{PCR: 9, Type: evIPL, Data: []byte("/vmlinuz\x00"), Measured: []byte("simulated kernel")},
		TPMEvent{PCR: 8, Type: evIPL, Data: []byte("kernel_cmdline: " + line + "\x00"), Measured: []byte(line)},
	)
}

// windows measures what Windows' loaders do: one trust boundary for each PCR, and the end of the boot phase.
func (b TPMBoot) windows(l *TPMLog, v *TPMVendor) {
	authority := SIPAContainer(SIPATrustBoundary, SIPA(SIPAAuthorityPubKey, []byte("simulated authority")))
	l.Add(
		TPMEvent{PCR: 11, Type: evCompactHash, Data: make([]byte, 8)},
		TPMEvent{PCR: 11, Type: evSeparator, Data: make([]byte, 4)},
		TPMEvent{PCR: 12, Type: evTag, Data: b.settings(v)},
		TPMEvent{PCR: 13, Type: evTag, Data: modules()},
		TPMEvent{PCR: 14, Type: evTag, Data: authority},
	)
	for pcr := uint32(12); pcr <= 14; pcr++ {
		l.Add(TPMEvent{PCR: pcr, Type: evSeparator, Data: []byte(windowsLogEnd)})
	}
}

// settings is the trust boundary of PCR 12.
func (b TPMBoot) settings(v *TPMVendor) []byte {
	elements := [][]byte{
		SIPA64(SIPABootCounter, b.BootCounter),
		SIPA32(SIPATransferControl, 1), SIPA32(SIPABitlockerUnlock, 4), SIPA32(SIPAApplicationSVN, 2),
		SIPABool(SIPABootDebugging, b.Debugging), SIPABool(SIPAOSKernelDebug, b.Debugging),
		SIPABool(SIPACodeIntegrity, true), SIPABool(SIPATestSigning, b.TestSigning),
		SIPA64(SIPADataExecution, 2), SIPABool(SIPASafeMode, b.SafeMode), SIPABool(SIPAWinPE, b.WinPE),
		SIPAText(SIPASystemRoot, `\Windows`), SIPABool(SIPAHypervisorDebug, false), SIPABool(SIPAFlightSigning, false),
	}
	if !b.WithoutVBS {
		elements = append(elements, SIPA64(SIPAVSMLaunchType, 1), SIPABool(SIPAVSMRequired, true), SIPABool(SIPAIOMMURequired, true),
			SIPABool(SIPAMandatoryEnforced, true), SIPA64(SIPAHVCIPolicy, 1),
			v.keyElement(SIPAVSMIDKInfo, IDK), v.keyElement(SIPAVSMIDKSInfo, IDKS))
	}
	return SIPAContainer(SIPATrustBoundary, elements...)
}

// keyElement is the public key of r as the secure kernel measures it.
func (v *TPMVendor) keyElement(id uint32, r TPMRole) []byte {
	key, ok := v.Key(r, RSA2048).Public().(*rsa.PublicKey)
	if !ok {
		return nil // cannot be: the kind is RSA
	}
	return sipaKey(id, key.N, key.E)
}

// modules is the trust boundary of PCR 13.
func modules() []byte {
	return SIPAContainer(SIPATrustBoundary, SIPAContainer(SIPALoadedModule,
		SIPAText(SIPAFilePath, `\Windows\system32\winload.efi`), SIPA64(SIPAImageSize, 0x1000),
		SIPA32(SIPAHashAlgorithm, 0x800C), SIPA(SIPAAuthenticodeHash, hashOf(crypto.SHA256, []byte("winload.efi"))),
		SIPABool(SIPAImageValidated, true), SIPA(SIPAModuleSVN, binary.LittleEndian.AppendUint32(nil, 2)),
	))
}
