package attester_test

import (
	"bytes"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/swtpmtest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

func TestAGuestOfSEVSNPSaysWhatAServiceAsksFor(t *testing.T) {
	r := newAzureRig(t)
	r.options.Nonce, r.options.Payload = []byte("a nonce"), map[string][]byte{"key": []byte("a key")}
	request, err := r.collect(t)
	if err != nil {
		t.Fatal(err)
	}
	i := readInfo(t, request)
	if request.Isolation != azureguest.SevSnp || i.IsolationInfo.Type != "SevSnp" || i.AttestationProtocolVersion != "2.0" || request.Warnings != nil {
		t.Errorf("%s, %s, %s, %v", request.Isolation, i.IsolationInfo.Type, i.AttestationProtocolVersion, request.Warnings)
	}
	if string(i.OSType) != "Linux" || string(i.OSDistro) != "Ubuntu" || i.OSVersionMajor != 22 || i.OSVersionMinor != 4 || string(i.OSBuild) != "NotApplicable" {
		t.Errorf("%s %s %d.%d %s", i.OSType, i.OSDistro, i.OSVersionMajor, i.OSVersionMinor, i.OSBuild)
	}
	if want := map[string][]byte{"nonce": []byte("a nonce"), "key": []byte("a key")}; !reflect.DeepEqual(i.ClientPayload, want) {
		t.Errorf("payload %s", i.ClientPayload)
	}
	if !bytes.Equal(i.TcgLogs, vectortest.Read(t, realLog)) || !bytes.Equal(i.IsolationInfo.Evidence.RunTimeData, r.runtime(t, r.ak)) {
		t.Error("another log, or other runtime data")
	}
	var proof struct {
		SnpReport     string
		VcekCertChain []byte
	}
	if err := json.Unmarshal(i.IsolationInfo.Evidence.Proof, &proof); err != nil {
		t.Fatal(err)
	}
	report, err := base64.RawURLEncoding.DecodeString(proof.SnpReport)
	if err != nil || !bytes.Equal(report, r.snp(t)[32:32+1184]) || strings.Count(string(proof.VcekCertChain), "BEGIN CERT") != 3 {
		t.Errorf("report %x, %v, chain %s", report, err, proof.VcekCertChain)
	}
	if want := []string{"GET /metadata/THIM/amd/certification true"}; !reflect.DeepEqual(r.asked, want) {
		t.Errorf("asked %q", r.asked)
	}
}

// TestWhatTheVTPMSaysHoldsTogether checks the signatures, the nonce in them, and the key for the answer (azure-guest.md section 3 steps 2 to 5).
func TestWhatTheVTPMSaysHoldsTogether(t *testing.T) {
	r := newAzureRig(t)
	r.options.PCRs = []int{11, 0, 1, 2, 3, 4, 5, 6, 7, 7}
	request, err := r.collect(t)
	if err != nil {
		t.Fatal(err)
	}
	i := readInfo(t, request)
	if want := []int{0, 1, 2, 3, 4, 5, 6, 7, 11}; !reflect.DeepEqual(i.TpmInfo.PcrSet, want) || len(i.TpmInfo.PCRs) != len(want) || !reflect.DeepEqual(request.PCRs, want) {
		t.Errorf("PCRs %v, %v", i.TpmInfo.PcrSet, i.TpmInfo.PCRs)
	}
	if len(request.Nonce) != 32 {
		t.Errorf("a nonce of %d bytes", len(request.Nonce))
	}
	bank := tpm.Bank{Alg: tpm.SHA256}
	for _, p := range i.TpmInfo.PCRs {
		bank.Values[p.Index] = p.Digest
	}
	quote := attest(t, i.TpmInfo.PcrQuote, i.TpmInfo.PcrSignature)
	if _, err := quote.VerifyQuote(tpm.QuoteInput{Key: r.ak, ExtraData: request.Nonce, PCRs: []tpm.Bank{bank}}); err != nil {
		t.Error(err)
	}
	area := i.TpmInfo.EncKeyPub[2:]
	key, err := tpm.ParsePublic(area)
	if err != nil {
		t.Fatal(err)
	}
	certified := attest(t, i.TpmInfo.EncKeyCertifyInfo, i.TpmInfo.EncKeyCertifyInfoSignature)
	if err := certified.VerifyCertify(r.ak, request.Nonce, key); err != nil {
		t.Error(err)
	}
	if !request.Key.Equal(key.Key) {
		t.Error("another key than the one in the request")
	}
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](area)
	if err != nil {
		t.Fatal(err)
	}
	if got := area[4:8]; !bytes.Equal(got, []byte{0, 2, 4, 0x32}) || len(public.AuthPolicy.Buffer) != 32 {
		t.Errorf("attributes %x, policy %x", got, public.AuthPolicy.Buffer)
	}
	if !bytes.Equal(i.TpmInfo.AikPub[6:10], []byte{0, 5, 4, 0x72}) {
		t.Errorf("attestation key with attributes %x", i.TpmInfo.AikPub[6:10])
	}
	if cert, err := tpm.ParseCertificate(i.TpmInfo.AikCert); err != nil || !r.ak.Equal(cert.PublicKey) {
		t.Errorf("certificate of another key, or none: %v", err)
	}
}

// attest reads TPMS_ATTEST with a bare signature, which begins as TPMT_SIGNATURE does not.
func attest(t *testing.T, b, bare []byte) *tpm.Attest {
	t.Helper()
	if len(bare) != 256 {
		t.Errorf("a signature of %d bytes", len(bare))
	}
	a, err := tpm.ParseAttest(b, append([]byte{0, 0x14, 0, 0x0B, 1, 0}, bare...))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAGuestOfTDXHasTheHostMakeAQuote(t *testing.T) {
	r := newAzureRig(t)
	r.replace(t, hclIndex, r.tdx(t))
	var sent struct{ Report string }
	quote := vectortest.Read(t, "maa/tdx/cvm-tools-v4.quote.bin")
	copy(quote[568:], r.tdx(t)[32+128:32+128+64])
	r.answer = func(w http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		json.Unmarshal(b, &sent)
		if kind := q.Header.Get("Content-Type"); kind != "application/json" {
			t.Errorf("Content-Type %q", kind)
		}
		json.NewEncoder(w).Encode(map[string]string{"quote": base64.RawURLEncoding.EncodeToString(quote)})
	}
	request, err := r.collect(t)
	if err != nil {
		t.Fatal(err)
	}
	i := readInfo(t, request)
	if report, err := base64.RawURLEncoding.DecodeString(sent.Report); err != nil || !bytes.Equal(report, r.tdx(t)[32:32+1024]) {
		t.Errorf("sent %x, %v", report, err)
	}
	if i.IsolationInfo.Type != "Tdx" || !bytes.Equal(i.IsolationInfo.Evidence.Proof, quote) || r.asked[0] != "POST /acc/tdquote true" {
		t.Errorf("%s, asked %q", i.IsolationInfo.Type, r.asked)
	}
	quote[568]++
	_, err = r.collect(t)
	wantProblem(t, err, "other report data", "try again")
}

func TestAGuestWithoutAReportThatProvesSomethingIsOneOfTrustedLaunch(t *testing.T) {
	r := newAzureRig(t)
	r.options.Protocol = "3.0"
	for _, prepare := range []func(){
		func() { r.replace(t, hclIndex, container(1, nil, 0x50, []byte("{}"))) }, // VBS
		func() { r.remove(t, hclIndex) },
	} {
		prepare()
		request, err := r.collect(t)
		if err != nil {
			t.Fatal(err)
		}
		if i := readInfo(t, request); i.IsolationInfo.Type != "TrustedLaunch" || i.IsolationInfo.Evidence != nil || i.AttestationProtocolVersion != "3.0" {
			t.Errorf("%+v", i.IsolationInfo)
		}
	}
	if r.asked != nil {
		t.Errorf("asked %q", r.asked)
	}
}

func TestAnEmptyLogIsSentWithAWarning(t *testing.T) {
	r := newAzureRig(t)
	r.options.Logs.Root = fstest.MapFS{eventLog: {}}
	request, err := r.collect(t)
	if err != nil {
		t.Fatal(err)
	}
	i := readInfo(t, request)
	if len(i.TcgLogs) != 0 || len(request.Warnings) != 1 || string(i.OSDistro) != "Unknown" || i.OSVersionMajor != 0 {
		t.Errorf("%d bytes of log, warnings %q, %s", len(i.TcgLogs), request.Warnings, i.OSDistro)
	}
}

func TestTheAnswerOpensInTheTPMOfTheRequest(t *testing.T) {
	r := newAzureRig(t)
	request, err := r.collect(t)
	if err != nil {
		t.Fatal(err)
	}
	if left := loaded(t, r.tpm); len(left) > 0 {
		t.Errorf("%x is left in the TPM", left)
	}
	token, err := request.Open(opened(t, r.tpm), sealed(t, "a.token.text", request.Key))
	if err != nil || token != "a.token.text" {
		t.Errorf("%q, %v", token, err)
	}
	if left := loaded(t, r.tpm); len(left) > 0 {
		t.Errorf("%x is left in the TPM", left)
	}
}

func TestEachRequestHasAKeyOfItsOwn(t *testing.T) {
	r := newAzureRig(t)
	var keys []*rsa.PublicKey
	var answers []string
	var requests []*attester.AzureRequest
	for range 2 {
		request, err := r.collect(t)
		if err != nil {
			t.Fatal(err)
		}
		requests, keys, answers = append(requests, request), append(keys, request.Key), append(answers, sealed(t, "a.b.c", request.Key))
	}
	if keys[0].Equal(keys[1]) {
		t.Error("the key of the first request is that of the second")
	}
	_, err := requests[0].Open(opened(t, r.tpm), answers[1])
	if bad, ok := errors.AsType[*attester.BadAnswer](err); !ok {
		t.Errorf("the answer to another request: %v, %v", bad, err)
	}
}

func TestTheAnswerDoesNotOpenAfterAPCRChanged(t *testing.T) {
	r := newAzureRig(t)
	request, err := r.collect(t)
	if err != nil {
		t.Fatal(err)
	}
	answer := sealed(t, "a.b.c", request.Key)
	digest := map[tpm.Alg][]byte{tpm.SHA256: make([]byte, 32)}
	swtpmtest.Extend(t, r.raw, 8, digest) // not one of the request
	if _, err := request.Open(opened(t, r.tpm), answer); err != nil {
		t.Error(err)
	}
	swtpmtest.Extend(t, r.raw, 4, digest)
	_, err = request.Open(opened(t, r.tpm), answer)
	wantProblem(t, err, "since PCR 4 changed", "--pcrs")
	wantProblem(t, err, "TPM_RC_POLICY_FAIL", "attest anew") // it is the TPM that refuses
	if left := loaded(t, r.tpm); len(left) > 0 {
		t.Errorf("%x is left in the TPM", left)
	}
}

func TestTheAnswerDoesNotOpenAfterARestart(t *testing.T) {
	r := newAzureRig(t)
	request, err := r.collect(t)
	if err != nil {
		t.Fatal(err)
	}
	r.tpm.Restart(t)
	r.tpm.Boot(t, vectortest.Read(t, realLog)) // with the same values
	_, err = request.Open(opened(t, r.tpm), sealed(t, "a.b.c", request.Key))
	wantProblem(t, err, "does not know the key", "restarted")
}

func TestAnAnswerThatIsNoneIsTheServices(t *testing.T) {
	r := newAzureRig(t)
	request, err := r.collect(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "a.b.c", "e30", base64.RawURLEncoding.EncodeToString([]byte("{"))} {
		if _, err := request.Open(opened(t, r.tpm), text); !errors.As(err, new(*attester.BadAnswer)) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestTheOperatingSystemIsWhatItSays: of /etc/os-release, whatever that holds; versions may have a leading zero.
func TestTheOperatingSystemIsWhatItSays(t *testing.T) {
	r := newAzureRig(t)
	log := &fstest.MapFile{Data: vectortest.Read(t, realLog)}
	long := strings.Repeat("x", 65)
	for text, want := range map[string]string{
		"NAME=\"Ubuntu\"\nVERSION_ID=\"24.04\"\n":           "Ubuntu 24 4",
		"ID=debian\nVERSION_ID=12\nNAME='Debian GNU/Linux'": "Debian GNU/Linux 12 0",
		"NAME=Rolling":                     "Rolling 0 0",
		"NAME=A\nVERSION_ID=1.2.3":         "A 1 2",
		"NAME=A\nVERSION_ID=x.-1":          "A 0 0",
		"NAME=A\nVERSION_ID=99999999999.1": "A 999999999 1",
		"NAME=" + long:                     long[:64] + " 0 0",
		"NAME=\xff":                        " 0 0",
		"":                                 "Unknown 0 0",
		"# " + strings.Repeat("x", 64<<10-7) + "\nNAME=": "Unknown 0 0", // its last line is longer than a line may be
		strings.Repeat("\n", 64<<10-6) + "NAME=A":        "A 0 0",
		strings.Repeat("\n", 64<<10-5) + "NAME=A":        "Unknown 0 0", // one byte too long
	} {
		r.options.Logs.Root = fstest.MapFS{eventLog: log, "etc/os-release": {Data: []byte(text)}}
		request, err := r.collect(t)
		if err != nil {
			t.Fatal(err)
		}
		i := readInfo(t, request)
		if got := fmt.Sprintf("%s %d %d", i.OSDistro, i.OSVersionMajor, i.OSVersionMinor); got != want {
			t.Errorf("%.40q: %q, want %q", text, got, want)
		}
	}
}
