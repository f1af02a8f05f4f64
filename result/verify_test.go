package result_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/result"
)

func TestVerifyRefusesEachFlawForItsReason(t *testing.T) {
	genuine := forge(t, testKey(), header, payload)
	otherHeader := func(old, new string) string { return forge(t, testKey(), swap(t, header, old, new), payload) }
	otherPayload := func(old, new string) string { return forge(t, testKey(), header, swap(t, payload, old, new)) }
	part := strings.Split(genuine, ".")
	for _, tt := range []struct {
		name, token string
		want        result.Reason
	}{
		{"genuine", genuine, ""},
		{"another issuer", otherPayload("demo.local", "demo.other"), result.Issuer},
		{"issuer with a trailing slash", otherPayload(`example",`, `example/",`), result.Issuer},
		{"issuer in other case", otherPayload("demo", "Demo"), result.Issuer},
		{"expired", otherPayload("1900028800", "1900000000"), result.Expired},
		{"not yet valid", otherPayload(`"nbf":1900000000`, `"nbf":1900000001`), result.NotYetValid},
		{"development mark", otherPayload(`"svn"`, `"ext-development":true,"svn"`), result.Development},
		{"development mark of another type", otherPayload(`"svn"`, `"ext-development":"no","svn"`), result.Development},
		{"algorithm none, unsigned", unsigned(swap(t, header, "RS256", "none"), payload), result.Algorithm},
		{"algorithm none with a signature", otherHeader("RS256", "none"), result.Algorithm},
		{"algorithm in other case", otherHeader("RS256", "rs256"), result.Algorithm},
		{"algorithm missing", otherHeader(`"alg":"RS256",`, ``), result.Algorithm},
		{"algorithm null", otherHeader(`"RS256"`, `null`), result.Algorithm},
		{"RS384", otherHeader("RS256", "RS384"), result.Algorithm},
		{"HS256 with the public key as secret", hs256(t, swap(t, header, "RS256", "HS256"), payload), result.Algorithm},
		{"PS256 with a right signature", ps256(t, swap(t, header, "RS256", "PS256"), payload), result.Algorithm},
		{"PS256 signature called RS256", ps256(t, header, payload), result.Signature},
		{"unknown kid", otherHeader(`"k1"`, `"k2"`), result.UnknownKey},
		{"kid missing", otherHeader(`"kid":"k1",`, ``), result.UnknownKey},
		{"kid empty", otherHeader(`"k1"`, `""`), result.UnknownKey},
		{"key of another owner", forge(t, otherKey(), header, payload), result.Signature},
		{"one payload bit", part[0] + "." + flip(part[1]) + "." + part[2], result.Signature},
		{"payload no longer JSON, unsigned change", part[0] + "." + b64url([]byte("{")) + "." + part[2], result.Signature},
		{"one header bit", b64url([]byte(swap(t, header, "certs", "cerus"))) + "." + part[1] + "." + part[2], result.Signature},
		{"one signature bit", part[0] + "." + part[1] + "." + flip(part[2]), result.Signature},
		{"signature cut off", part[0] + "." + part[1] + ".", result.Signature},
		{"duplicate header member", otherHeader(`"kid":"k1"`, `"kid":"k1","kid":"k1"`), result.Malformed},
		{"duplicate header member written with an escape", otherHeader(`"alg":"RS256"`, `"alg":"RS256","\u0061lg":"none"`), result.Malformed},
		{"duplicate payload member", otherPayload(`"svn":7`, `"svn":7,"svn":8`), result.Malformed},
		{"duplicate nested payload member", otherPayload(`"svn":7`, `"svn":{"a":1,"a":1}`), result.Malformed},
		{"payload nested too deep", otherPayload(`7`, strings.Repeat("[", 32)+strings.Repeat("]", 32)), result.Malformed},
		{"header not an object", forge(t, testKey(), `["alg"]`, payload), result.Malformed},
		{"header null", forge(t, testKey(), `null`, payload), result.Malformed},
		{"payload not an object", forge(t, testKey(), header, `[]`), result.Malformed},
		{"payload null", forge(t, testKey(), header, `null`), result.Malformed},
		{"payload empty", forge(t, testKey(), header, ``), result.Malformed},
		{"data after the payload", forge(t, testKey(), header, payload+`{}`), result.Malformed},
		{"critical extension", otherHeader(`"typ"`, `"crit":["exp"],"exp":1,"typ"`), result.Malformed},
		{"no critical extension", otherHeader(`"typ"`, `"crit":[],"typ"`), result.Malformed},
		{"unencoded payload", otherHeader(`"typ"`, `"b64":false,"typ"`), result.Malformed},
		{"another kind of token", otherHeader(`"JWT"`, `"at+jwt"`), result.Malformed},
		{"no kind of token", otherHeader(`,"typ":"JWT"`, ``), ""},
		{"algorithm not a string", otherHeader(`"RS256"`, `["RS256"]`), result.Malformed},
		{"exp missing", otherPayload(`"exp":1900028800,`, ``), result.Malformed},
		{"exp a fraction", otherPayload(`1900028800`, `1900028800.0`), result.Malformed},
		{"exp a power", otherPayload(`1900028800`, `19e8`), result.Malformed},
		{"exp a string", otherPayload(`1900028800`, `"1900028800"`), result.Malformed},
		{"exp beyond the year 9999", otherPayload(`1900028800`, `253402300800`), result.Malformed},
		{"exp beyond 64 bits", otherPayload(`1900028800`, `18446744073709551616`), result.Malformed},
		{"exp negative", otherPayload(`1900028800`, `-1`), result.Malformed},
		{"nbf missing", otherPayload(`,"nbf":1900000000`, ``), result.Malformed},
		{"nbf null", otherPayload(`"nbf":1900000000`, `"nbf":null`), result.Malformed},
		{"iat missing", otherPayload(`"iat":1900000000,`, ``), result.Malformed},
		{"iss missing", otherPayload(`"iss":"https://demo.local.attest.example",`, ``), result.Malformed},
		{"iss not a string", otherPayload(`"https://demo.local.attest.example"`, `["https://demo.local.attest.example"]`), result.Malformed},
		{"padded header", part[0] + "==" + "." + part[1] + "." + part[2], result.Malformed},
		{"padded payload", part[0] + "." + part[1] + "==" + "." + part[2], result.Malformed},
		{"padded signature", part[0] + "." + part[1] + "." + part[2] + "==", result.Malformed},
		{"trailing line end", genuine + "\n", result.Malformed},
		{"trailing garbage", genuine + "!", result.Malformed},
		{"fourth part", genuine + ".e30", result.Malformed},
		{"two parts", part[0] + "." + part[1], result.Malformed},
		{"JSON serialisation", `{"protected":"` + part[0] + `","payload":"` + part[1] + `","signature":"` + part[2] + `"}`, result.Malformed},
		{"empty", "", result.Malformed},
	} {
		_, err := result.Verify(tt.token, keySet(t, member(&testKey().PublicKey, nil)), result.Expect{Issuer: issuer, At: inTime})
		got := result.Reason("")
		if err != nil {
			got = reason(t, err)
		}
		if got != tt.want {
			t.Errorf("%s: got %q (%v), want %q\n%s", tt.name, got, err, tt.want, tt.token)
		}
	}
}

func unsigned(header, payload string) string {
	return b64url([]byte(header)) + "." + b64url([]byte(payload)) + "."
}

func hs256(t *testing.T, header, payload string) string {
	der, err := x509.MarshalPKIXPublicKey(testKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	input := b64url([]byte(header)) + "." + b64url([]byte(payload))
	mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	mac.Write([]byte(input))
	return input + "." + b64url(mac.Sum(nil))
}

func ps256(t *testing.T, header, payload string) string {
	input := b64url([]byte(header)) + "." + b64url([]byte(payload))
	digest := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPSS(rand.Reader, testKey(), crypto.SHA256, digest[:], nil)
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64url(sig)
}

// flip changes one character in the middle of a part to another of the alphabet.
func flip(part string) string {
	i := len(part) / 2
	other := "A"
	if part[i:i+1] == other {
		other = "B"
	}
	return part[:i] + other + part[i+1:]
}

func TestValidityHasItsFirstAndLastSecond(t *testing.T) {
	token := forge(t, testKey(), header, payload)
	keys := keySet(t, member(&testKey().PublicKey, nil))
	nbf, exp := time.Unix(1900000000, 0), time.Unix(1900028800, 0)
	for _, tt := range []struct {
		name   string
		at     time.Time
		leeway time.Duration
		want   result.Reason
	}{
		{"at nbf", nbf, 0, ""},
		{"just before nbf", nbf.Add(-1), 0, result.NotYetValid},
		{"just before exp", exp.Add(-1), 0, ""},
		{"at exp", exp, 0, result.Expired},
		{"before nbf by the leeway", nbf.Add(-result.MaxLeeway), result.MaxLeeway, ""},
		{"before nbf by more", nbf.Add(-result.MaxLeeway - 1), result.MaxLeeway, result.NotYetValid},
		{"after exp by less than the leeway", exp.Add(result.MaxLeeway - 1), result.MaxLeeway, ""},
		{"after exp by the leeway", exp.Add(result.MaxLeeway), result.MaxLeeway, result.Expired},
	} {
		_, err := result.Verify(token, keys, result.Expect{Issuer: issuer, At: tt.at, Leeway: tt.leeway})
		got := result.Reason("")
		if err != nil {
			got = reason(t, err)
		}
		if got != tt.want {
			t.Errorf("%s: got %q (%v), want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestVerifyNeedsToKnowWhatToExpect(t *testing.T) {
	token := forge(t, testKey(), header, payload)
	for name, want := range map[string]result.Expect{
		"no issuer":       {At: inTime},
		"no time":         {Issuer: issuer},
		"negative leeway": {Issuer: issuer, At: inTime, Leeway: -1},
		"too much leeway": {Issuer: issuer, At: inTime, Leeway: result.MaxLeeway + 1},
	} {
		v, err := result.Verify(token, keySet(t, member(&testKey().PublicKey, nil)), want)
		if _, verdict := err.(*result.Refusal); err == nil || verdict || v != nil {
			t.Errorf("%s: got %v, %v, want an error that is no verdict", name, v, err)
		}
	}
}

func TestDevelopmentTokensAreAcceptedOnlyOnRequest(t *testing.T) {
	token := forge(t, testKey(), header, swap(t, payload, `"svn"`, `"ext-development":true,"svn"`))
	v, err := result.Verify(token, keySet(t, member(&testKey().PublicKey, nil)),
		result.Expect{Issuer: issuer, At: inTime, AllowDevelopment: true})
	if err != nil || !v.Development() {
		t.Errorf("got %v, want a verified token with the mark", err)
	}
}

func TestRefusalSaysWhatWasExpectedAndFound(t *testing.T) {
	keys := keySet(t, member(&testKey().PublicKey, nil))
	token := forge(t, testKey(), header, payload)
	_, err := result.Verify(token, keys, result.Expect{Issuer: "https://a.example", At: inTime})
	for _, part := range []string{"issuer: ", `expected "https://a.example"`, `found "` + issuer + `"`} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want it to contain %q", err, part)
		}
	}
	long := forge(t, testKey(), swap(t, header, "k1", strings.Repeat("k", 20000)), payload)
	if _, err = result.Verify(long, keys, result.Expect{Issuer: issuer, At: inTime}); len(err.Error()) > 1000 {
		t.Errorf("the message repeats %d bytes of the token", len(err.Error()))
	}
}

func TestClaimAccessors(t *testing.T) {
	token := forge(t, testKey(), header, swap(t, payload, `"svn":7`,
		`"svn":7,"half":1.5,"big":9223372036854775808,"yes":true,"no":false,"nil":null,"name":"a\u003db","obj":{"b": 1}`))
	v, err := result.Verify(token, keySet(t, member(&testKey().PublicKey, nil)), result.Expect{Issuer: issuer, At: inTime})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name                         string
		isString, isInt, isBool, has bool
		text                         string
	}{
		{"svn", false, true, false, true, "7"}, {"half", false, false, false, true, "1.5"},
		{"big", false, false, false, true, "9223372036854775808"}, {"yes", false, false, true, true, "true"},
		{"no", false, false, true, true, "false"}, {"nil", false, false, false, true, ""},
		{"name", true, false, false, true, "a=b"}, {"obj", false, false, false, true, ""}, {"absent", false, false, false, false, ""},
	} {
		_, s := v.String(tt.name)
		n, i := v.Int(tt.name)
		_, b := v.Bool(tt.name)
		_, j := v.JSON(tt.name)
		text, ok := v.Text(tt.name)
		if s != tt.isString || i != tt.isInt || b != tt.isBool || j != tt.has || text != tt.text || ok != (tt.text != "") {
			t.Errorf("%s: string %v, int %v (%d), bool %v, there %v, text %q %v", tt.name, s, i, n, b, j, text, ok)
		}
	}
	if n, _ := v.Int("svn"); n != 7 {
		t.Errorf("svn: got %d, want 7", n)
	}
	if raw, _ := v.JSON("obj"); string(raw) != `{"b": 1}` {
		t.Errorf("obj: got %s, want it as sent", raw)
	}
	if !v.IssuedAt().Equal(inTime) || !v.NotBefore().Equal(inTime) || v.Expires().Sub(inTime) != 8*time.Hour ||
		v.Issuer() != issuer || v.Header().KeyID != "k1" || len(v.Names()) != 12 {
		t.Errorf("registered claims: %v %v %v %s %v %v", v.IssuedAt(), v.NotBefore(), v.Expires(), v.Issuer(), v.Header(), v.Names())
	}
}

func TestSizeLimitsHaveTheirEdge(t *testing.T) {
	keys := keySet(t, member(&testKey().PublicKey, nil))
	fill := func(h string, size int) string { return h[:len(h)-1] + `,"x":"` + strings.Repeat("x", size) + `"}` }
	verify := func(token string) error {
		_, err := result.Verify(token, keys, result.Expect{Issuer: issuer, At: inTime})
		return err
	}
	room := result.MaxHeaderSize/4*3 - len(fill(header, 0))
	if err := verify(forge(t, testKey(), fill(header, room), payload)); err != nil {
		t.Errorf("largest header: %v", err)
	}
	if err := verify(forge(t, testKey(), fill(header, room+1), payload)); err == nil || reason(t, err) != result.Malformed {
		t.Errorf("larger header: %v", err)
	}
	signed := forge(t, testKey(), header, payload)
	input := signed[:strings.LastIndex(signed, ".")+1]
	for size, want := range map[int]result.Reason{result.MaxTokenSize: result.Signature, result.MaxTokenSize + 1: result.Malformed} {
		token := input + strings.Repeat("A", size-len(input))
		if got := reason(t, verify(token)); got != want {
			t.Errorf("token of %d bytes: got %s, want %s", len(token), got, want)
		}
	}
}
