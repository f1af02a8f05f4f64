package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
)

// azureRefusals sends the evidence of Azure guests that the vectors have for each reason of refusal, the first of each, and some that are put together of two
// requests.
func azureRefusals(t *testing.T) (list []refusalText) {
	t.Helper()
	sound, folder := findAzure(t, "az-cpp-linux-snp"), t.TempDir()
	s := start(t, sound.config(t, folder, minimal(t), provider.Settings{}))
	add := func(name string, s *testService, request string) {
		a := s.azure(t, request)
		a.refused(t, http.StatusBadRequest, "InvalidParameter", "")
		list = append(list, refusalText{"Azure guest, " + name, a.problem(t).Message})
	}
	seen := map[string]bool{}
	for _, c := range azureCases(t) {
		if strings.HasPrefix(c.Expect, "reject") && !c.accepted() && !seen[c.Code] {
			seen[c.Code] = true
			add(strings.ToLower(c.Code), s, c.body(t))
		}
	}
	add("userWithAuth", s, findAzure(t, "az-bad-enckey-userwithauth").body(t))
	add("foreign certificate of the attestation key", s, findAzure(t, "az-bad-ak-cert-root-trustedlaunch").body(t))
	add("certified by another attestation key", s, mixed(t, sound, findAzure(t, "az-bad-ak-not-in-runtime"), "EncKeyCertifyInfo", "EncKeyCertifyInfoSignature"))
	add("a PCR twice", s, duplicated(t, sound))
	s.stop()

	cfg := sound.config(t, folder, minimal(t), provider.Settings{Strict: true})
	strict := start(t, cfg)
	add("no nonce, strict", strict, sound.body(t))
	add("no chain, strict", strict, findAzure(t, "az-bad-ak-cert-root").body(t))
	strict.stop()

	foreign := start(t, config.Config{Data: folder, At: sound.At, Settings: cfg.Settings, AMDRoots: nil, Policies: cfg.Policies})
	add("foreign VCEK", foreign, findAzure(t, "az-go-linux-snp").body(t))
	return list
}

// mixed is the request of a case with members of TpmInfo of another one.
func mixed(t *testing.T, c, other azureCase, members ...string) string {
	t.Helper()
	info, from := c.information(t), other.information(t)["TpmInfo"].(map[string]any)
	for _, name := range members {
		if from[name] == nil {
			t.Fatalf("%s has no member %s", other.ID, name)
		}
		info["TpmInfo"].(map[string]any)[name] = from[name]
	}
	return azureBody(info)
}

// duplicated is the request of a case with the value of PCR 0 twice, the second one of zeros.
func duplicated(t *testing.T, c azureCase) string {
	t.Helper()
	info := c.information(t)
	tpm := info["TpmInfo"].(map[string]any)
	tpm["PCRs"] = append(tpm["PCRs"].([]any), map[string]any{"Index": 0, "Digest": strings.Repeat("A", 43) + "="})
	return azureBody(info)
}
