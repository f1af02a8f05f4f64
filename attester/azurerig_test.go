package attester_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/internal/swtpmtest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// What the vTPMs of Azure have (azure-guest.md section 1).
const (
	hclIndex      tpm2.TPMHandle = 0x01400001
	userDataIndex tpm2.TPMHandle = 0x01400002
	akCertificate tpm2.TPMHandle = 0x01C101D0
	akHandle      tpm2.TPMHandle = 0x81000003
)

// azureRig is a guest of Azure on swtpm. Its evidence of hardware is real but for the report data, so that no signature of it holds: that is not for the client to see.
type azureRig struct {
	tpm      *swtpmtest.TPM
	raw      transport.TPM
	ak       *rsa.PublicKey
	options  attester.AzureOptions
	userData string // in the runtime data
	waits    []time.Duration
	asked    []string // of the metadata service
	answer   http.HandlerFunc
}

// newAzureRig makes a guest of SEV-SNP that booted as the real log says.
func newAzureRig(t *testing.T) *azureRig {
	t.Helper()
	r := &azureRig{tpm: swtpmtest.Start(t), userData: strings.Repeat("0", 128)}
	log := vectortest.Read(t, realLog)
	r.tpm.Boot(t, log)
	r.raw = r.tpm.Open(t)
	r.ak = persistAK(t, r.raw, akHandle)
	swtpmtest.Store(t, r.raw, akCertificate, append(swtpmtest.NewCA(t).Certify(t, r.ak), make([]byte, 300)...))
	swtpmtest.Store(t, r.raw, hclIndex, r.snp(t))
	r.answer = func(w http.ResponseWriter, _ *http.Request) { w.Write(thim(t, r.tcb(t))) }
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.asked = append(r.asked, q.Method+" "+q.URL.Path+" "+q.Header.Get("Metadata"))
		r.answer(w, q)
	}))
	t.Cleanup(service.Close)
	r.options = attester.AzureOptions{
		Logs: attester.Logs{Root: fstest.MapFS{
			eventLog: {Data: log}, "etc/os-release": {Data: []byte("NAME=\"Ubuntu\"\nVERSION_ID=\"22.04\"\n")},
		}},
		Metadata: attester.AzureMetadata{URL: service.URL},
		Pause:    func(_ context.Context, d time.Duration) error { r.waits = append(r.waits, d); return nil },
	}
	return r
}

func (r *azureRig) collect(t *testing.T) (*attester.AzureRequest, error) {
	t.Helper()
	return attester.CollectAzureGuest(t.Context(), opened(t, r.tpm), r.options)
}

// persistAK makes an attestation key with the attributes 00050472, as Azure has it, and leaves it in the TPM.
func persistAK(t *testing.T, c transport.TPM, handle tpm2.TPMHandle) *rsa.PublicKey {
	t.Helper()
	made, err := tpm2.CreatePrimary{PrimaryHandle: ownerAuth(), InPublic: tpm2.New2B(tpm2.TPMTPublic{
		Type: tpm2.TPMAlgRSA, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true, Restricted: true, SignEncrypt: true,
		},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgRSA, &tpm2.TPMSRSAParms{KeyBits: 2048, Scheme: tpm2.TPMTRSAScheme{
			Scheme: tpm2.TPMAlgRSASSA, Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgRSASSA, &tpm2.TPMSSigSchemeRSASSA{HashAlg: tpm2.TPMAlgSHA256}),
		}}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: binary.BigEndian.AppendUint32(nil, uint32(handle))}),
	})}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	object := tpm2.NamedHandle{Handle: made.ObjectHandle, Name: made.Name}
	if _, err := (tpm2.EvictControl{Auth: ownerAuth(), ObjectHandle: &object, PersistentHandle: handle}).Execute(c); err != nil {
		t.Fatal(err)
	}
	if _, err := (tpm2.FlushContext{FlushHandle: made.ObjectHandle}).Execute(c); err != nil {
		t.Fatal(err)
	}
	area, err := made.OutPublic.Contents()
	if err != nil {
		t.Fatal(err)
	}
	key, err := tpm2.Pub(*area)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*rsa.PublicKey)
}

func ownerAuth() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}
}

// replace puts another content into an index, of another size.
func (r *azureRig) replace(t *testing.T, index tpm2.TPMHandle, content []byte) {
	t.Helper()
	r.remove(t, index)
	swtpmtest.Store(t, r.raw, index, content)
}

func (r *azureRig) remove(t *testing.T, index tpm2.TPMHandle) {
	t.Helper()
	read, err := tpm2.NVReadPublic{NVIndex: index}.Execute(r.raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (tpm2.NVUndefineSpace{AuthHandle: ownerAuth(), NVIndex: tpm2.NamedHandle{Handle: index, Name: read.NVName}}).Execute(r.raw); err != nil {
		t.Fatal(err)
	}
}

// runtime is the document of the paravisor for an attestation key.
func (r *azureRig) runtime(t *testing.T, ak *rsa.PublicKey) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{
		"keys": []any{map[string]any{
			"kid": "HCLAkPub", "key_ops": []string{"sign"}, "kty": "RSA", "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(ak.E)).Bytes()),
			"n": base64.RawURLEncoding.EncodeToString(ak.N.Bytes()),
		}},
		"vm-configuration": map[string]any{"secure-boot": true, "vmUniqueId": "00000000-0000-4000-8000-0000000000AA"}, "user-data": r.userData,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// container is a report of the paravisor of version 2: header, area of the hardware report, and what it vouches for (sev-snp.md section 4).
func container(kind uint32, hardware []byte, reportDataAt int, runtime []byte) []byte {
	le := binary.LittleEndian
	area := make([]byte, 1184)
	copy(area, hardware)
	sum := sha256.Sum256(runtime)
	clear(area[reportDataAt : reportDataAt+64])
	copy(area[reportDataAt:], sum[:])
	b := []byte("HCLA")
	for _, n := range []uint32{2, uint32(1236 + len(runtime)), 2, 0, 0, 0, 0} {
		b = le.AppendUint32(b, n)
	}
	b = append(b, area...)
	for _, n := range []uint32{uint32(20 + len(runtime)), 1, kind, 1, uint32(len(runtime))} {
		b = le.AppendUint32(b, n)
	}
	return append(b, runtime...)
}

const snpReport, snpChain = "tpm/azure-guest/snp-report.bin", "tpm/azure-guest/vcek-chain.pem"

func (r *azureRig) snp(t *testing.T) []byte {
	t.Helper()
	return container(2, vectortest.Read(t, snpReport), 0x50, r.runtime(t, r.ak))
}

func (r *azureRig) tdx(t *testing.T) []byte {
	t.Helper()
	return container(4, []byte{0x81}, 128, r.runtime(t, r.ak))
}

// tcb is reported_tcb of the report as the metadata service writes it: a number of 64 bits, little-endian at offset 180 (sev-snp.md section 1).
func (r *azureRig) tcb(t *testing.T) string {
	t.Helper()
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], binary.LittleEndian.Uint64(vectortest.Read(t, snpReport)[0x180:]))
	return strings.ToUpper(hex.EncodeToString(b[:]))
}

// thim is what the metadata service answers: the leaf, and those above it.
func thim(t *testing.T, tcb string) []byte {
	t.Helper()
	leaf, rest := pem.Decode(vectortest.Read(t, snpChain))
	b, err := json.Marshal(map[string]string{"vcekCert": string(pem.EncodeToMemory(leaf)), "tcbm": tcb, "certificateChain": string(rest), "cacheControl": "86400"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// info is the inside of a request.
type info struct {
	AttestationProtocolVersion     string
	OSType, OSDistro, OSBuild      []byte
	OSVersionMajor, OSVersionMinor int
	TcgLogs                        []byte
	ClientPayload                  map[string][]byte
	TpmInfo                        struct {
		AikCert, AikPub, PcrQuote, PcrSignature, EncKeyPub, EncKeyCertifyInfo, EncKeyCertifyInfoSignature []byte
		PcrSet                                                                                            []int
		PCRs                                                                                              []struct {
			Index  int
			Digest []byte
		}
	}
	IsolationInfo struct {
		Type     string
		Evidence *struct{ Proof, RunTimeData []byte }
	}
}

// readInfo reads the body of a request from the outside in.
func readInfo(t *testing.T, r *attester.AzureRequest) (i info) {
	t.Helper()
	body, err := r.Body()
	if err != nil {
		t.Fatal(err)
	}
	var outer struct{ AttestationInfo string }
	if err := json.Unmarshal(body, &outer); err != nil {
		t.Fatal(err)
	}
	inner, err := base64.RawURLEncoding.DecodeString(outer.AttestationInfo)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(inner))
	d.DisallowUnknownFields()
	if err := d.Decode(&i); err != nil {
		t.Fatal(err)
	}
	return i
}

// sealed encrypts a token as the service does (azure-guest.md section 4).
func sealed(t *testing.T, token string, to *rsa.PublicKey) string {
	t.Helper()
	key, iv := make([]byte, 32), make([]byte, 12)
	rand.Read(key)
	rand.Read(iv)
	//lint:ignore SA1019 what the clients of Azure guests open (azure-guest.md section 4)
	wrapped, err := rsa.EncryptPKCS1v15(rand.Reader, to, key)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	text := gcm.Seal(nil, iv, []byte(token), []byte("Transport Key"))
	b, err := json.Marshal(map[string]any{
		"EncryptedInnerKey": wrapped, "AuthenticationData": text[len(token):], "Jwt": text[:len(token)], "EncryptionParams": map[string]any{
			"BlockMode": "ChainingModeGCM", "BlockPadding": "PKCS7", "Cipher": "AES", "KeySizeInBits": 256, "Iv": iv,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}
