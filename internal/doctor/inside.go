package doctor

import (
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/evidence/hcl"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/vendorca"
)

// The NV indices of endorsement certificates that assay attest tpm sends, RSA-2048 and P-256, and of those that it does not
// (tpm-evidence.md section 3). Index azureReport has the hardware report of a confidential machine of Azure (azure-guest.md section 1).
const (
	ekRSA       = 0x01C00002
	ekECC       = 0x01C0000A
	azureReport = 0x01400001
)

func ekIndices() []uint32 {
	return []uint32{ekRSA, ekECC, 0x01C00012, 0x01C00014, 0x01C00016, 0x01C00018, 0x01C0001A, 0x01C0001C, 0x01C0001E}
}

// Issuer is whose certificate a service must have for a certificate to lead anywhere.
type Issuer struct {
	Subject string   `json:"subject"`
	KeyID   string   `json:"keyId,omitzero"` // that of its key, hex, if the certificate says it
	URLs    []string `json:"urls,omitzero"`  // where the certificate says that the issuer's is to be had; nothing is fetched
}

// open opens the TPM: the swtpm, or the device that was found. What cannot be asked is nil, and the text says why.
func (m machine) open(device Finding) (*attester.TPM, string) {
	if device.State != Ready {
		return nil, "the TPM cannot be opened"
	}
	if m.Socket != "" {
		return opened(attester.OpenSocket(m.Socket))
	}
	if info, err := os.Stat(m.at(device.Path)); err != nil || info.Mode()&os.ModeDevice == 0 {
		return nil, "a file stands for the TPM"
	}
	return opened(attester.OpenDevice(m.at(device.Path)))
}

func opened(t *attester.TPM, err error) (*attester.TPM, string) {
	if err != nil {
		return nil, err.Error()
	}
	return t, ""
}

// socket looks at an swtpm in the place of the device.
func (m machine) socket() Finding {
	f := Finding{Name: TPMDevice, Path: m.Socket, State: Ready, Detail: "a TPM in software"}
	t, err := attester.OpenSocket(m.Socket)
	if err == nil {
		t.Close() //nolint:errcheck // nothing was sent
		return f
	}
	f.State, f.Detail = Fault, err.Error()
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		f.State = Absent
	case errors.Is(err, fs.ErrPermission):
		f.State = Denied
	}
	if problem, ok := errors.AsType[*attester.Problem](err); ok {
		f.Detail, f.Remedy = problem.What, problem.Remedy
	}
	return f
}

// inside reads what the TPM has in its NV indices.
func (m machine) inside(device Finding) []Finding {
	t, why := m.open(device)
	if t == nil {
		detail := "not read: " + why
		return []Finding{{Name: EKCertificate, State: Skipped, Detail: detail}, {Name: AzureReport, Path: nv(azureReport), State: Skipped, Detail: detail}}
	}
	defer t.Close() //nolint:errcheck // nothing was written
	return append(m.ekCertificates(t), hardwareReport(t))
}

func nv(index uint32) string { return fmt.Sprintf("NV %08x", index) }

// ekCertificates tells of each certificate of an endorsement key that the TPM has, first of those that are used.
func (m machine) ekCertificates(t *attester.TPM) []Finding {
	chain, chainErr := t.EKChain()
	var all []Finding
	for _, index := range ekIndices() {
		der, err := t.ReadIndex(index)
		switch {
		case err != nil:
			return append(all, broken(EKCertificate, index, err)) // the TPM would fail again
		case der != nil:
			all = append(all, m.ekCertificate(index, der, chain))
		}
	}
	if all == nil {
		all = []Finding{{
			Name: EKCertificate, Path: nv(ekRSA), State: Absent, Detail: "the TPM has no certificate of its maker",
			Remedy: "have the owner of the provider pin the endorsement key: assay aik pin FILE --kind ek",
		}}
	}
	if chainErr != nil {
		all[0].Detail += "; " + chainErr.Error()
	}
	return all
}

// broken is the finding of an index that cannot be read.
func broken(name Name, index uint32, err error) Finding {
	f := Finding{Name: name, Path: nv(index), State: Fault, Detail: err.Error()}
	if problem, ok := errors.AsType[*attester.Problem](err); ok {
		f.Detail, f.Remedy = problem.What, problem.Remedy
		if problem.Err != nil {
			f.Detail += ": " + problem.Err.Error()
		}
	}
	return f
}

func (m machine) ekCertificate(index uint32, der []byte, chain []*x509.Certificate) Finding {
	f := Finding{Name: EKCertificate, Path: nv(index), State: Ready}
	cert, err := tpm.ParseCertificate(der)
	if err != nil {
		f.State, f.Detail, f.Remedy = Fault, "it cannot be read: "+err.Error(), "ask the maker of the machine for a certificate, or have the endorsement key pinned"
		return f
	}
	f.Value, f.Issuer = vendorca.KeyName(cert), issuer(cert, chain)
	f.Detail = "of a TPM of " + maker(cert) + ", in force until " + cert.NotAfter.UTC().Format(time.DateOnly) + ", issued by " + cert.Issuer.String()
	const anew = "ask the maker of the machine for a new one, or have the endorsement key pinned: assay aik pin FILE --kind ek"
	switch {
	case m.At.After(cert.NotAfter):
		f.State, f.Detail, f.Remedy = Fault, "it has expired: "+f.Detail, anew
	case m.At.Before(cert.NotBefore):
		f.State, f.Remedy = Fault, "look whether the clock of this machine is right"
		f.Detail = "it is not in force before " + cert.NotBefore.UTC().Format(time.DateOnly) + ": " + f.Detail
	case index != ekRSA && index != ekECC:
		f.Detail += "; assay attest tpm does not use it"
	}
	return f
}

// issuer finds whose certificate is needed, which is above those that the TPM has.
func issuer(cert *x509.Certificate, chain []*x509.Certificate) *Issuer {
	top := cert
	for range chain {
		for _, c := range chain {
			if c.Subject.String() == top.Issuer.String() && top.CheckSignatureFrom(c) == nil {
				top = c
				break
			}
		}
	}
	if top.CheckSignatureFrom(top) == nil { // the root itself
		return &Issuer{Subject: top.Subject.String(), KeyID: hex.EncodeToString(top.SubjectKeyId)}
	}
	return &Issuer{Subject: top.Issuer.String(), KeyID: hex.EncodeToString(top.AuthorityKeyId), URLs: top.IssuingCertificateURL}
}

// maker names the TPM's maker by its letters in the TCG's registry, if the certificate has them.
func maker(cert *x509.Certificate) string {
	m := tpm.MakerOf(cert)
	if m.Manufacturer == "" {
		return "a maker that is not named"
	}
	name := m.Manufacturer
	if b, err := hex.DecodeString(strings.TrimPrefix(name, "id:")); err == nil {
		if letters := strings.TrimRight(string(b), " \x00"); letters != "" && !strings.ContainsFunc(letters, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) }) {
			name = letters + " (" + m.Manufacturer + ")"
		}
	}
	return strings.TrimSpace(name + " " + m.Model)
}

// hardwareReport looks for the report that the paravisor of Azure's confidential machines puts into their TPM.
func hardwareReport(t *attester.TPM) Finding {
	f := Finding{Name: AzureReport, Path: nv(azureReport), State: Absent}
	b, err := t.ReadIndex(azureReport)
	kind, headed := hcl.TypeOf(b)
	switch {
	case err != nil:
		return broken(AzureReport, azureReport, err)
	case b == nil:
		f.Detail = "no report of the hardware of Azure"
	case !headed:
		f.State, f.Detail = Fault, "it has not the form of Azure's reports"
	default:
		f.State, f.Value = Ready, map[hcl.Type]string{1: "vbs", hcl.SNP: "snp", 3: "trusted-vm", hcl.TDX: "tdx", 5: "cca"}[kind]
		f.Detail = fmt.Sprintf("a report of kind %d", kind)
	}
	return f
}
