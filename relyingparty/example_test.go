package relyingparty_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/assay-attestation/assay/internal/issuer"
	"github.com/assay-attestation/assay/relyingparty"
	"github.com/assay-attestation/assay/result"
)

// startService stands in for an attestation service: it publishes its keys and gives a token about an enclave.
func startService() (service *httptest.Server, token string) {
	var keys *issuer.Keys
	service = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(keys.Certs(time.Now())) }))
	key, err := issuer.Generate(time.Now())
	if err != nil {
		log.Fatal(err)
	}
	if keys, err = issuer.New(issuer.Config{Issuer: service.URL}, []issuer.Key{key}); err != nil {
		log.Fatal(err)
	}
	token, err = keys.SignResult(result.Claims{
		"x-ms-attestation-type": "sgx", "x-ms-sgx-mrenclave": strings.Repeat("1e", 32), "x-ms-sgx-mrsigner": strings.Repeat("51", 32),
		"x-ms-sgx-product-id": int64(7), "x-ms-sgx-svn": int64(3), "x-ms-sgx-is-debuggable": false,
		"x-ms-sgx-report-data": strings.Repeat("00", 64), "x-ms-sgx-ehd": "aGVsbG8",
	}, time.Now())
	if err != nil {
		log.Fatal(err)
	}
	return service, token
}

// A client that trusts one signer of enclaves reads what the enclave says.
func Example() {
	service, text := startService()
	defer service.Close()

	verifier, err := relyingparty.New(relyingparty.Config{Issuer: service.URL, HTTPClient: service.Client()})
	if err != nil {
		log.Fatal(err)
	}
	token, err := verifier.Verify(context.Background(), text)
	if err != nil {
		log.Fatal(err)
	}
	signer, err := relyingparty.ParseMeasurement(strings.Repeat("51", 32))
	if err != nil {
		log.Fatal(err)
	}
	err = token.Require(relyingparty.SGX{MRSIGNER: []relyingparty.Measurement{signer}, ProductID: 7, MinSVN: 2})
	if err != nil {
		log.Fatal(err)
	}
	enclave, err := token.SGX()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("version %d says %s\n", enclave.SVN, enclave.HeldData)
	// Output: version 3 says hello
}

// A refusal has a reason word for programs and a text for people; keys that cannot be had are something else.
func ExampleVerifier_Verify() {
	service, text := startService()
	defer service.Close()

	verifier, err := relyingparty.New(relyingparty.Config{Issuer: service.URL, HTTPClient: service.Client()})
	if err != nil {
		log.Fatal(err)
	}
	header, _, _ := strings.Cut(text, ".")
	_, err = verifier.Verify(context.Background(), header+".e30.AAAA")
	if refusal, ok := errors.AsType[*result.Refusal](err); ok {
		fmt.Println("refused:", refusal.Reason)
	} else if unavailable, ok := errors.AsType[*relyingparty.KeysUnavailable](err); ok {
		fmt.Println("try again in", unavailable.RetryAfter)
	}
	// Output: refused: signature
}

// An HTTP service that only attested callers may use.
func ExampleVerifier_Middleware() {
	service, text := startService()
	defer service.Close()

	verifier, err := relyingparty.New(relyingparty.Config{Issuer: service.URL, HTTPClient: service.Client()})
	if err != nil {
		log.Fatal(err)
	}
	attested := verifier.Middleware(relyingparty.Claim{Name: "x-ms-sgx-is-debuggable", Value: "false"})
	handler := attested(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := relyingparty.FromContext(r.Context())
		svn, _ := token.Int("x-ms-sgx-svn")
		fmt.Println("a caller of version", svn)
	}))

	request := httptest.NewRequest(http.MethodGet, "/secret", nil)
	handler.ServeHTTP(httptest.NewRecorder(), request) // without a token the handler is not reached
	request.Header.Set("Authorization", "Bearer "+text)
	handler.ServeHTTP(httptest.NewRecorder(), request)
	// Output: a caller of version 3
}
