package attester

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/evidence/tpm"
)

// What the virtual TPMs of Azure have (azure-guest.md section 1).
const (
	azureAKHandle         = tpm2.TPMHandle(0x81000003)
	azureReportIndex      = 0x01400001 // the report of the paravisor (HCL)
	azureUserDataIndex    = 0x01400002 // what its next report is to vouch for
	azureCertificateIndex = 0x01C101D0 // of the attestation key
)

// notAzure is the remedy where a TPM lacks what those of Azure have.
const notAzure = "this looks like no Azure VM with a virtual TPM: take one of generation 2 whose security type is trusted launch or confidential; " +
	"other machines attest with assay attest tpm, and --emulate shows the way without one"

// azureAK reads the public part of the attestation key that the paravisor keeps in the TPM.
func (t *TPM) azureAK() (*object, error) {
	doing := fmt.Sprintf("reading the attestation key at %08X", uint32(azureAKHandle))
	answer, err := tpm2.ReadPublic{ObjectHandle: azureAKHandle}.Execute(t.link)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return nil, problem(fmt.Sprintf("the TPM has no attestation key at %08X", uint32(azureAKHandle)), notAzure, err)
	}
	if err != nil {
		return nil, failed(doing, err)
	}
	return loadedObject(doing, azureAKHandle, answer.Name, answer.OutPublic.Bytes())
}

// azureCertificate reads the certificate of the attestation key, DER without the zeros behind it.
func (t *TPM) azureCertificate(ak *object) ([]byte, error) {
	what := fmt.Sprintf("the certificate of the attestation key, index %08X,", azureCertificateIndex)
	const renew = "restart the machine, upon which Azure writes it anew; the metadata service renews it, too (POST /metadata/THIM/tvm/certificate/renew)"
	b, err := t.ReadIndex(azureCertificateIndex)
	if err != nil {
		return nil, err
	}
	if b = bytes.TrimRight(b, "\x00"); len(b) == 0 {
		return nil, problem(what+" is not in the TPM", renew, nil)
	}
	padded := append(b, make([]byte, 1)...) // a certificate may end with a zero of its own
	for _, der := range [][]byte{b, padded} {
		if err = certifies(der, ak); err == nil {
			return der, nil
		}
	}
	return nil, problem(what+" cannot be used", renew, certifies(b, ak))
}

// bareSignature gives the bytes of an RSASSA signature, as the request carries them.
func bareSignature(s tpm2.TPMTSignature) ([]byte, error) {
	rsassa, err := s.Signature.RSASSA()
	if err != nil {
		return nil, problem("the attestation key does not sign with RSASSA", notAzure, err)
	}
	return rsassa.Sig.Buffer, nil
}

// makeKey makes the key for the answer, has the attestation key certify it, and takes it out of the TPM again, in a form that only the TPM can read.
func (c *azureCollection) makeKey() error {
	template, err := c.keyTemplate()
	if err != nil {
		return err
	}
	if c.key, err = c.tpm.primaryIn(tpm2.TPMRHNull, "the key for the answer", template); err != nil {
		return err
	}
	if c.certified.attest, c.certified.signature, err = c.tpm.certify(c.ak, c.key, c.nonce); err != nil {
		return err
	}
	answer, err := tpm2.ContextSave{SaveHandle: c.key.handle}.Execute(c.tpm.link)
	if err != nil {
		return failed("keeping the key for the answer", err)
	}
	c.saved = answer.Context
	return nil
}

// keyTemplate is that of an RSA key that decrypts only by a policy: while the quoted PCRs have the quoted values (azure-guest.md section 3 step 5).
func (c *azureCollection) keyTemplate() (template tpm2.TPMTPublic, err error) {
	policy, err := tpm2.NewPolicyCalculator(tpm2.TPMAlgSHA256)
	if err != nil {
		return template, fmt.Errorf("calculating a policy: %w", err)
	}
	digest := pcrDigest(c.quoted.values[0], c.pcrs)
	if err := (tpm2.PolicyPCR{PcrDigest: tpm2.TPM2BDigest{Buffer: digest}, Pcrs: selection(c.quoted.banks, c.pcrs)}).Update(policy); err != nil {
		return template, fmt.Errorf("calculating a policy: %w", err)
	}
	unlike := make([]byte, sha256.Size) // the same template would give the same key
	rand.Read(unlike)                   //nolint:errcheck // it never fails
	return tpm2.TPMTPublic{
		Type: tpm2.TPMAlgRSA, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, NoDA: true, Decrypt: true}, // 00020432
		AuthPolicy:       tpm2.TPM2BDigest{Buffer: policy.Hash().Digest},
		Parameters:       tpm2.NewTPMUPublicParms(tpm2.TPMAlgRSA, &tpm2.TPMSRSAParms{KeyBits: requestKeyBits}),
		Unique:           tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: unlike}),
	}, nil
}

// pcrDigest is the hash over the values of PCRs in rising order.
func pcrDigest(bank tpm.Bank, pcrs []int) []byte {
	h := sha256.New()
	for _, pcr := range pcrs {
		h.Write(bank.Values[pcr])
	}
	return h.Sum(nil)
}

// Open decrypts the service's answer, its member token, and gives the token, which nobody has verified (azure-guest.md section 4). Nothing stays in the TPM,
// which must be that of the request. The error is a *[Problem] where this machine is at fault, a *[BadAnswer] for an answer that is none.
func (r *AzureRequest) Open(t *TPM, sealed string) (string, error) {
	envelope, err := azureguest.ParseEnvelope(sealed)
	if err != nil {
		return "", &BadAnswer{fmt.Errorf("the sealed answer: %w", err)}
	}
	var key []byte
	if err := t.within(func() (err error) { key, err = r.unwrap(t, envelope.WrappedKey); return err }); err != nil {
		return "", err
	}
	token, err := envelope.Open(key)
	if err != nil {
		return "", &BadAnswer{fmt.Errorf("the sealed answer: %w", err)}
	}
	return token, nil
}

// unwrap has the TPM decrypt the key of the answer.
func (r *AzureRequest) unwrap(t *TPM, wrapped []byte) ([]byte, error) {
	const doing = "decrypting the answer"
	loaded, err := tpm2.ContextLoad{Context: r.saved}.Execute(t.link)
	if err != nil {
		return nil, r.notLoaded(err)
	}
	session, _, err := tpm2.PolicySession(t.link, tpm2.TPMAlgSHA256, nonceSize) // within takes it out
	if err != nil {
		return nil, failed(doing, err)
	}
	if _, err := (tpm2.PolicyPCR{PolicySession: session.Handle(), Pcrs: selection([]tpm.Alg{r.values.Alg}, r.PCRs)}).Execute(t.link); err != nil {
		return nil, failed(doing, err)
	}
	answer, err := tpm2.RSADecrypt{
		KeyHandle:  tpm2.AuthHandle{Handle: loaded.LoadedHandle, Name: r.name, Auth: session},
		CipherText: tpm2.TPM2BPublicKeyRSA{Buffer: wrapped},
		InScheme:   tpm2.TPMTRSADecrypt{Scheme: tpm2.TPMAlgRSAES, Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgRSAES, &tpm2.TPMSEncSchemeRSAES{})},
	}.Execute(t.link)
	if err != nil {
		return nil, r.notDecrypted(t, doing, err)
	}
	return answer.Message.Buffer, nil
}

// notLoaded explains why the TPM does not take its key back.
func (r *AzureRequest) notLoaded(err error) error {
	for _, code := range []error{tpm2.TPMRCIntegrity, tpm2.TPMRCHandle, tpm2.TPMRCHierarchy} {
		if errors.Is(err, code) {
			return problem("the TPM does not know the key of the request", "attest anew: the machine was restarted since the request, or this is another TPM", err)
		}
	}
	return failed("loading the key of the request", err)
}

// notDecrypted explains why the TPM does not decrypt: a PCR has another value than in the request, or the answer is encrypted to another key.
func (r *AzureRequest) notDecrypted(t *TPM, doing string, err error) error {
	if errors.Is(err, tpm2.TPMRCPolicyFail) || errors.Is(err, tpm2.TPMRCPCRChanged) {
		return problem("the TPM does not open the answer, since "+r.changed(t)+" changed after the request",
			"attest anew; a PCR that the running system extends can be left out (--pcrs 0-7)", err)
	}
	for _, code := range []error{tpm2.TPMRCValue, tpm2.TPMRCSize, tpm2.TPMRCFailure} {
		if errors.Is(err, code) {
			return &BadAnswer{fmt.Errorf("the sealed answer is not encrypted to the key of this request: %w", err)}
		}
	}
	return failed(doing, err)
}

// changed names the PCRs that have other values than in the request.
func (r *AzureRequest) changed(t *TPM) string {
	now := tpm.Bank{Alg: r.values.Alg}
	var names []string
	if there, err := t.readBank(&now); err == nil && there {
		for _, pcr := range r.PCRs {
			if !slices.Equal(now.Values[pcr], r.values.Values[pcr]) {
				names = append(names, strconv.Itoa(pcr))
			}
		}
	}
	if names == nil {
		return "a PCR of the request"
	}
	return "PCR " + strings.Join(names, ", ")
}

// publicRSA gives the key for the answer as the token will name it.
func (o *object) publicRSA() (*rsa.PublicKey, error) {
	key, ok := o.key.(*rsa.PublicKey)
	if !ok {
		return nil, failed("making the key for the answer", fmt.Errorf("it is a %T", o.key))
	}
	return key, nil
}
