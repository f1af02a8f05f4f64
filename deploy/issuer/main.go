// Command issuer is an OpenID Connect issuer for trials and tests of Assay on one machine. It gives a token to whoever asks:
//
//	issuer --listen 127.0.0.1:9000 --tls-cert tls.pem --tls-key tls-key.pem
//	curl --cacert ca.pem 'https://localhost:9000/token?appid=operator'
//
// Its name is https://localhost:PORT. It is no part of the product and never for production.
package main

import (
	"crypto/rand"
	"crypto/rsa"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
)

// Of its tokens.
const (
	audience = "https://attest.azure.net"
	life     = time.Hour
	keyBits  = 2048
	keyID    = "trial"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:9000", "`ADDR` of this machine to listen on")
	cert := flag.String("tls-cert", "", "TLS certificate, PEM `FILE`")
	key := flag.String("tls-key", "", "TLS key, PEM `FILE`")
	flag.Parse()
	if err := serve(*listen, *cert, *key); err != nil {
		log.Fatal(err)
	}
}

func serve(listen, cert, key string) error {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("%s is not a loopback address: everybody who reaches this issuer gets any token", listen)
	}
	i, err := newIssuer("https://localhost:" + port)
	if err != nil {
		return err
	}
	s := &http.Server{Addr: listen, Handler: i.routes(), ReadHeaderTimeout: 10 * time.Second}
	return s.ListenAndServeTLS(cert, key)
}

// issuer signs tokens in the form of Entra v1.
type issuer struct {
	url    string
	keys   jose.JSONWebKeySet
	signer jose.Signer
}

func newIssuer(url string) (*issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, err
	}
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", keyID)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, options)
	if err != nil {
		return nil, err
	}
	public := jose.JSONWebKey{Key: key.Public(), KeyID: keyID, Use: "sig", Algorithm: string(jose.RS256)}
	return &issuer{url, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}}, signer}, nil
}

func (i *issuer) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]string{"issuer": i.url, "jwks_uri": i.url + "/keys"})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		keys := make([]map[string]any, 0, len(i.keys.Keys))
		for _, k := range i.keys.Keys {
			keys = append(keys, asMap(k))
		}
		answer(w, map[string]any{"keys": keys})
	})
	mux.HandleFunc("GET /token", i.token)
	return mux
}

// asMap gives a key by its members, as go-jose writes them.
func asMap(k jose.JSONWebKey) (members map[string]any) {
	b, err := k.MarshalJSON()
	if err == nil {
		err = json.Unmarshal(b, &members)
	}
	if err != nil {
		log.Print(err)
	}
	return members
}

// token answers with a token for the application that the query names, as text.
func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	application, now := r.URL.Query().Get("appid"), time.Now()
	claims, err := json.Marshal(map[string]any{
		"ver": "1.0", "iss": i.url, "aud": audience, "appid": application, "oid": application, "sub": application,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(life).Unix(),
	})
	var signed *jose.JSONWebSignature
	if err == nil {
		signed, err = i.signer.Sign(claims)
	}
	var text string
	if err == nil {
		text, err = signed.CompactSerialize()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprintln(w, text)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.MarshalWrite(w, v); err != nil {
		log.Print(err)
	}
}
