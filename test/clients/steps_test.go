package clients

import (
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/test/clients/internal/plan"
)

// Policies whose bytes a careless service would not give back as they were: line ends of both kinds, blanks at both ends.
const (
	permitPolicy = " version= 1.0;\r\nauthorizationrules\n{\r\n\t=> permit();\n};\nissuancerules { };  \r\n\n"
	denyPolicy   = "version= 1.0;\nauthorizationrules { => deny(); };\nissuancerules { };\n\t"
)

// refusedPolicy is in the message of every refusal of a policy's JWS.
const refusedPolicy = "policy JWS: "

// defaultPolicy is the recorded default of SgxEnclave and OpenEnclave (policy.md section 9.1).
func defaultPolicy(t *testing.T) string {
	t.Helper()
	return string(vectortest.Read(t, "policies/sgx-v11-default-exact.txt"))
}

func step(do, attestationType, policy string) plan.Step {
	name := do
	if attestationType != "" {
		name += " " + attestationType
	}
	return plan.Step{Name: name, Do: do, Type: attestationType, Policy: policy, Token: "contributor"}
}

func get(attestationType, policy string) plan.Step { return step("get", attestationType, policy) }
func set(attestationType, policy string) plan.Step { return step("set", attestationType, policy) }
func reset(attestationType string) plan.Step       { return step("reset", attestationType, "") }
func attest(attestationType string) plan.Step      { return step("attest", attestationType, "") }

func list(signers ...string) plan.Step {
	s := step("list", "", "")
	s.Signers = signers
	return s
}

func change(do, certificate, by string) plan.Step {
	s := step(do, "", "")
	s.Certificate, s.Key = certificate, by
	return s
}

func add(certificate, by string) plan.Step    { return change("add", certificate, by) }
func remove(certificate, by string) plan.Step { return change("remove", certificate, by) }

// aadSteps manage a provider whose policies anybody may set who has the role.
func aadSteps(t *testing.T) []plan.Step {
	t.Helper()
	const sgx, oe = "SgxEnclave", "OpenEnclave"
	byDefault := defaultPolicy(t)
	return []plan.Step{
		get(sgx, byDefault).Called("default policy of SgxEnclave"),
		get(oe, byDefault).Called("default policy of OpenEnclave"),
		attest(sgx).Called("default policy permits"),

		set(sgx, denyPolicy).Called("unsigned policy is set"),
		get(sgx, denyPolicy).Called("and comes back as it was"),
		get(oe, byDefault).Called("and is not that of another type"),
		attest(sgx).Called("and decides").Refused("PolicyEvaluationError", ""),
		set(sgx, permitPolicy).By("stranger").Called("policy signed by anybody is set"),
		get(sgx, permitPolicy).Called("and comes back as it was"),
		attest(sgx).Called("and decides"),
		set(sgx, denyPolicy).By("curve").Called("policy signed with a key on a curve"),
		reset(sgx).Called("unsigned reset"),
		get(sgx, byDefault).Called("brings the default back"),
		attest(sgx).Called("which permits"),

		set(oe, permitPolicy).By("stranger").Called("signed policy for OpenEnclave is set"),
		get(oe, permitPolicy).Called("and comes back as it was"),
		set(oe, "version= 1.0; authorizationrules { => perhaps(); }; issuancerules { };").
			Called("policy that does not parse is refused").Refused("PolicyParsingError", "perhaps"),
		get(oe, permitPolicy).Called("and leaves the old one"),
		reset(oe).By("stranger").Called("signed reset"),
		get(oe, byDefault).Called("brings the default back"),

		list().Called("there are no signers"),
		add("second", "owner").Called("signer is not added").Refused("InvalidOperation", "The operation is disallowed"),
		remove("owner", "owner").Called("signer is not removed").Refused("InvalidOperation", "The operation is disallowed"),

		get(sgx, "").Called("expired token cannot read").As("expired"),
		set(sgx, denyPolicy).Called("expired token cannot set").As("expired"),
		set(sgx, denyPolicy).Called("forged token cannot set").As("forged"),
		set(sgx, denyPolicy).Called("reader cannot set").As("reader"),
		reset(sgx).Called("reader cannot reset").As("reader"),
		get(sgx, byDefault).Called("nothing has changed"),
	}
}

// isolatedSteps manage a provider whose policies its signers must sign: the owner at first.
func isolatedSteps(t *testing.T) []plan.Step {
	t.Helper()
	const sgx = "SgxEnclave"
	byDefault := defaultPolicy(t)
	return []plan.Step{
		list("owner").Called("the signer from the configuration"),
		get(sgx, byDefault).Called("default policy"),
		set(sgx, denyPolicy).Called("unsigned policy is refused").Refused("InvalidOperation", refusedPolicy+"unsigned"),
		set(sgx, denyPolicy).By("stranger").Called("policy of a stranger is refused").Refused("InvalidOperation", refusedPolicy+"signer"),
		get(sgx, byDefault).Called("nothing has changed"),
		set(sgx, denyPolicy).By("owner").Called("policy of the signer is set"),
		get(sgx, denyPolicy).Called("and comes back as it was"),
		attest(sgx).Called("and decides").Refused("PolicyEvaluationError", ""),
		reset(sgx).Called("unsigned reset is refused").Refused("InvalidOperation", refusedPolicy+"unsigned"),
		reset(sgx).By("owner").Called("signed reset"),
		attest(sgx).Called("brings the default back, which permits"),

		add("second", "stranger").Called("a stranger adds no signer").Refused("InvalidOperation", refusedPolicy+"signer"),
		add("second", "second").Called("nor does the new one itself").Refused("InvalidOperation", refusedPolicy+"signer"),
		add("second", "owner").Called("second signer"),
		add("second", "owner").Called("the same once more"),
		list("owner", "second").Called("signers in order, each once"),
		set(sgx, permitPolicy).By("second").Called("policy of the second signer is set"),
		get(sgx, permitPolicy).Called("and comes back as it was"),
		remove("owner", "second").Called("first signer is removed"),
		remove("owner", "second").Called("the same once more"),
		list("second").Called("the second signer is left"),
		set(sgx, denyPolicy).By("owner").Called("policy of the removed signer is refused").Refused("InvalidOperation", refusedPolicy+"signer"),
		remove("second", "second").Called("the last signer is not removed").Refused("InvalidOperation", "last policy management certificate"),
		list("second").Called("and is there still"),
		add("curve", "second").Called("signer with a key on a curve"),
		list("second", "curve").Called("is listed"),
		remove("curve", "second").Called("and removed"),
		list("second").Called("which leaves one"),
		reset(sgx).By("second").Called("reset by the signer who is left"),
		get(sgx, byDefault).Called("brings the default back"),

		add("stranger", "second").Called("expired token adds no signer").As("expired"),
		remove("second", "second").Called("reader removes no signer").As("reader"),
		list().Called("forged token lists no signers").As("forged"),
	}
}
