package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// command is one row of the table of commands.
type command struct {
	name     string // one to three words
	args     string // the positional arguments, for the usage line
	summary  string
	examples []string
	run      func(ctx context.Context, c *call) error
}

// commands is everything the binary can do, in the order in which help lists it.
func commands() []command {
	return slices.Concat([]command{
		{"serve", "", "run the attestation service", []string{
			"assay serve --dev",
			"assay serve --url https://attest.example --tls-cert tls.pem --tls-key tls.key",
		}, runServe},
		{"demo", "", "show the whole story with a simulated enclave and a simulated TPM", []string{"assay demo"}, runDemo},
	}, attestCommands(), evidenceCommands(), []command{
		{"token inspect", "TOKEN", "show what a token says, believing nothing", []string{
			"assay token inspect token.jwt",
		}, runTokenInspect},
		{"token verify", "TOKEN", "verify a token as a relying party does", []string{
			"assay token verify token.jwt --issuer https://attest.example",
			"assay token verify - --issuer https://attest.example --jwks certs.json --require x-ms-sgx-is-debuggable=false",
		}, runTokenVerify},
	}, policyCommands(), remotePolicyCommands(), managementCommands(), aikCommands(), referenceCommands(), storeCommands(), tpmCommands(), []command{
		{"collateral fetch", "", "get collateral from Intel or a cache of it into a bundle", []string{
			"assay collateral fetch --fmspc 00906ED50000 --ca processor --out collateral.tar.gz",
			"assay collateral fetch --fmspc 00606A000000 --ca platform --evaluation 17 --source https://pccs.example:8081 --out collateral/",
			"assay collateral fetch --tee tdx --fmspc 90C06F000000 --ca platform --out collateral.tar.gz",
		}, runCollateralFetch},
		{"collateral import", "BUNDLE", "verify the sets of a bundle and add them to another", []string{
			"assay collateral import fetched.tar.gz --out collateral/",
		}, runCollateralImport},
		{"collateral export", "BUNDLE", "copy sets of a bundle, as they are, to a new one", []string{
			"assay collateral export collateral/ --fmspc 00906ED50000 --out one.tar.gz",
		}, runCollateralExport},
		{"collateral verify", "BUNDLE", "verify every document of a bundle", []string{
			"assay collateral verify collateral.tar.gz",
		}, runCollateralVerify},
		{"collateral status", "BUNDLE", "list the documents of a bundle and their dates", []string{
			"assay collateral status collateral.tar.gz",
		}, runCollateralStatus},
		{"roots import", "DIR", "sort the certificates of makers of TPMs, and write those that a service can be told to trust", []string{
			"assay roots import vendor-certificates/",
			"assay roots import vendor-certificates/ --out /etc/assay/ek",
		}, runRootsImport},
		{"sim", "TYPE", "simulate a platform: write its evidence with all that is needed to verify it, or attest", []string{
			"assay sim sgx --out sim",
			"assay sim snp --product Genoa --vlek --runtime-data key.json --out sim",
			"assay evidence verify --type snp sim/report.bin --chain sim/chain.pem --crl sim/crl.der --trust-root sim/root.pem",
			"assay sim tdx --out sim",
			"assay sim azureguest --isolation Tdx --windows --out sim",
			"assay sim tpm --endpoint https://localhost:8443 --ca assay-data/dev-ca.pem --token-file token",
			"assay sim tpm --linux --secure-boot off --endpoint https://localhost:8443 --ca assay-data/dev-ca.pem --token-file token",
			"assay sim tpm >first.json",
			"assay sim tpm --answer answer.json >second.json",
			"assay evidence verify --type sgx sim/quote.bin --collateral sim/collateral --trust-root sim/root.pem --runtime-data sim/runtime.json --runtime-type json",
		}, runSim},
		{"doctor", "", "tell what this machine has to attest with, and what to do where it cannot", []string{
			"assay doctor",
			"assay doctor --swtpm tpm.sock --json",
		}, runDoctor},
		{"dev token", "", "make a bearer token that a service in development mode accepts", []string{
			"assay dev token --role contributor",
			"assay dev token --role reader --provider myprovider --life 10m --data assay-data",
		}, runDevToken},
		{"version", "", "print the version", []string{"assay version"}, runVersion},
	})
}

// attestCommands is what makes a service judge something. The longer name stands first: find takes the first that fits.
func attestCommands() []command {
	return []command{
		{"attest tpm", "", "attest this machine by its TPM and verify the report that the service answers with", []string{
			"assay attest tpm --endpoint https://attest.example --token-file token --enroll --aik-cert aik.pem",
			"assay attest tpm --endpoint https://attest.example --token-file token --aik-cert aik.pem --key certified --pcrs 0-7",
			"assay attest tpm --endpoint https://attest.example --token-file token --aik-cert aik.pem --renew /run/assay/report.jwt",
			"assay attest tpm --swtpm tpm.sock --event-log boot.log --endpoint https://localhost:8443 --ca assay-data/dev-ca.pem --token-file token",
		}, runAttestTPM},
		{"attest azureguest", "[FILE]", "attest this Azure VM by its virtual TPM, or send the body of a request, and verify the token in the sealed answer", []string{
			"assay attest azureguest --endpoint https://attest.example",
			"assay attest azureguest --endpoint https://attest.example --nonce 00c0ffee --payload release=42 --pcrs 0-7",
			"assay attest azureguest --collect --out body.json",
			"assay attest azureguest body.json --endpoint https://attest.example --raw",
			"assay attest azureguest --emulate --endpoint https://localhost:8443 --ca assay-data/dev-ca.pem",
		}, runAttestAzureGuest},
		{"attest", "TYPE [FILE]", "send evidence, of a file or of this machine, to a service and verify the token it answers with", []string{
			"assay attest sgx quote.bin --endpoint https://localhost:8443 --ca assay-data/dev-ca.pem",
			"assay attest sgx quote.bin --endpoint https://attest.example --runtime-data key.json --runtime-type json",
			"assay attest snp --collect --runtime-data key.json --runtime-type json --endpoint https://attest.example",
			"assay attest tdx --collect --runtime-data key.json --out quote.bin",
			"assay attest snp hcl.bin --chain thim.json --endpoint https://attest.example",
		}, runAttest},
	}
}

// evidenceCommands is what judges evidence offline.
func evidenceCommands() []command {
	return []command{
		{"evidence inspect", "FILE", "show what evidence says, believing nothing", []string{
			"assay evidence inspect --type sgx quote.bin",
			"assay evidence inspect --type snp report.bin",
			"assay evidence inspect --type azureguest request.json",
		}, runEvidenceInspect},
		{"evidence verify", "FILE", "verify evidence offline against stored collateral", []string{
			"assay evidence verify --type sgx quote.bin --collateral collateral.tar.gz",
			"assay evidence verify --type openenclave report.bin --collateral collateral/ --accept-status UpToDate,SWHardeningNeeded",
			"assay evidence verify --type tdx quote.bin --collateral collateral.tar.gz --runtime-data key.json",
			"assay evidence verify --type snp report.bin --chain auxblob.bin --crl crl.der --runtime-data key.json",
			"assay evidence verify --type azureguest request.json --aik-root vtpm-root.pem --aik-intermediates vtpm-ca.pem",
		}, runEvidenceVerify},
	}
}

// policyCommands is what those who write policies need.
func policyCommands() []command {
	return []command{
		{"policy check", "FILE", "find the errors of a policy, and what is probably one", []string{
			"assay policy check --type sgx policy.txt",
		}, runPolicyCheck},
		{"policy hash", "FILE", "print the hash by which tokens name a policy", []string{
			"assay policy hash policy.txt",
		}, runPolicyHash},
		{"policy fmt", "FILE…", "lay policies out in the one canonical form", []string{
			"assay policy fmt policy.txt",
			"assay policy fmt --write policies/*.txt",
			"assay policy fmt --check policies/*.txt",
		}, runPolicyFmt},
		{"policy lsp", "", "serve an editor: errors, completion, explanations and layout of policies", []string{
			"assay policy lsp",
		}, runPolicyLSP},
		{"policy eval", "", "evaluate a policy over claims or evidence as the service would", []string{
			"assay policy eval --policy policy.txt --claims claims.json",
			"assay policy eval --policy policy.txt --type sgx --evidence quote.bin --collateral collateral.tar.gz",
		}, runPolicyEval},
		{"policy explain", "", "evaluate a policy and show why it decided as it did", []string{
			"assay policy explain --policy policy.txt --claims claims.json",
			"assay policy explain --policy policy.txt --type sgx --evidence quote.bin --collateral collateral.tar.gz",
		}, runPolicyExplain},
		{"policy test", "DIR…", "run the golden tests of policies in folders", []string{
			"assay policy test policies/",
			"assay policy test policies/ --junit report.xml",
			"assay policy test policies/release.test.yaml --update",
		}, runPolicyTest},
		{"policy sign", "[FILE]", "make the JWS that sets a policy, or takes it back", []string{
			"assay policy sign policy.txt --type sgx --key signer.key --cert signer.pem --out policy.jws",
			"assay policy sign policy.txt --type sgx --unsigned --out policy.jws",
			"assay policy sign --reset --key signer.key --cert signer.pem",
		}, runPolicySign},
		{"policy unsign", "FILE", "take the policy out of a JWS", []string{
			"assay policy unsign policy.jws --signer signer.pem --out policy.txt",
		}, runPolicyUnsign},
		{"policy jws", "FILE", "show what the JWS of a policy says, and verify its signature", []string{
			"assay policy jws policy.jws",
			"assay policy jws policy.jws --signer signer.pem",
		}, runPolicyJWS},
	}
}

// remotePolicyCommands is what changes the policies of a service.
func remotePolicyCommands() []command {
	return []command{
		{"policy get", "", "print the policy that a service has, after verifying its answer", []string{
			"assay policy get --endpoint https://attest.example --type sgx --token-file token >policy.txt",
			"assay policy get --endpoint https://attest.example --type sgx --token-file token --jws >policy.jws",
		}, runPolicyGet},
		{"policy set", "FILE", "put a policy, or the JWS of one, in force", []string{
			"assay policy set policy.txt --endpoint https://attest.example --type sgx --token-file token",
			"assay policy set policy.txt --endpoint https://attest.example --type sgx --token-file token --key signer.key --cert signer.pem",
			"assay policy set policy.jws --endpoint https://attest.example --type sgx --token-file token",
		}, runPolicySet},
		{"policy reset", "", "bring the default policy back", []string{
			"assay policy reset --endpoint https://attest.example --type sgx --token-file token",
		}, runPolicyReset},
		{"policy history", "", "list the versions of a policy", []string{
			"assay policy history --endpoint https://attest.example --type sgx --token-file token",
		}, runPolicyHistory},
		{"policy diff", "", "show in what two versions of a policy differ", []string{
			"assay policy diff --endpoint https://attest.example --type sgx --token-file token",
			"assay policy diff --endpoint https://attest.example --type sgx --token-file token --from 2 --to 5",
		}, runPolicyDiff},
		{"policy rollback", "", "put an older version of a policy in force again", []string{
			"assay policy rollback --endpoint https://attest.example --type sgx --token-file token --to 2",
		}, runPolicyRollback},
	}
}

// managementCommands is what changes the rest of a service.
func managementCommands() []command {
	return []command{
		{"signer list", "", "list the policy signers of a provider", []string{
			"assay signer list --endpoint https://attest.example --token-file token",
		}, runSignerList},
		{"signer add", "[CERT]", "add a policy signer, by the signature of an existing one", []string{
			"assay signer add new.pem --endpoint https://attest.example --token-file token --key signer.key --cert signer.pem",
			"assay signer add --jws new.jws --endpoint https://attest.example --token-file token",
		}, runSignerAdd},
		{"signer remove", "[CERT]", "remove a policy signer, by the signature of an existing one", []string{
			"assay signer remove old.pem --endpoint https://attest.example --token-file token --key signer.key --cert signer.pem",
		}, runSignerRemove},
		{"signer sign", "CERT", "make the JWS that adds a policy signer or removes one, where the key is", []string{
			"assay signer sign new.pem --key signer.key --cert signer.pem --out new.jws",
		}, runSignerSign},
		{"baseline list", "", "list the TCB baselines that policies can select", []string{
			"assay baseline list --endpoint https://attest.example --type sgx",
		}, runBaselineList},
		{"provider create", "NAME", "create a provider", []string{
			"assay provider create payments --endpoint https://attest.example --token-file token --tag team=payments --settings settings.yaml",
			"assay provider create payments --endpoint https://attest.example --token-file token --signer signer.pem",
			"assay provider create payments --endpoint https://management.azure.com --token-file token --subscription 3f1e --resource-group keys --location westeurope",
		}, runProviderCreate},
		{"provider list", "", "list the providers that the caller may read", []string{
			"assay provider list --endpoint https://attest.example --token-file token",
			"assay provider list --endpoint https://management.azure.com --token-file token --subscription 3f1e",
		}, runProviderList},
		{"provider show", "NAME", "show a provider", []string{
			"assay provider show payments --endpoint https://attest.example --token-file token",
		}, runProviderShow},
		{"provider update", "NAME", "change tags and switches of a provider", []string{
			"assay provider update payments --endpoint https://attest.example --token-file token --public-network-access Disabled --if-version 3",
		}, runProviderUpdate},
		{"provider delete", "NAME", "delete a provider and its signing keys", []string{
			"assay provider delete payments --endpoint https://attest.example --token-file token",
		}, runProviderDelete},
		{"key list", "", "list the signing keys of a provider", []string{
			"assay key list --endpoint https://attest.example --token-file token",
		}, runKeyList},
		{"key rotate", "", "make the next signing key of a provider", []string{
			"assay key rotate --endpoint https://attest.example --token-file token",
			"assay key rotate --endpoint https://attest.example --token-file token --withdraw",
		}, runKeyRotate},
	}
}

// tpmCommands is what those need who look at the evidence of a TPM. A name that begins with another stands before it.
func tpmCommands() []command {
	return []command{
		{"tpm eventlog diff", "A B", "show in what two event logs differ", []string{
			"assay tpm eventlog diff before-update.log after-update.log",
		}, runTPMEventlogDiff},
		{"tpm eventlog", "FILE", "explain a TCG event log: what was measured, what it means, what it rests on", []string{
			"assay tpm eventlog /sys/kernel/security/tpm0/binary_bios_measurements",
			"assay tpm eventlog boot.log --pcrs 0,7,11-14",
			"assay tpm eventlog boot.log --ima-log ima.list --pcrs 10",
			"assay tpm eventlog boot.log --quote quote.bin --signature quote.sig --public ak.pem --nonce 00c0ffee",
		}, runTPMEventlog},
		{"tpm secureboot-keys", "FILE", "print the secure-boot keys in a TCG event log as the setting of a provider", []string{
			"assay tpm secureboot-keys /sys/kernel/security/tpm0/binary_bios_measurements",
		}, runTPMSecureBootKeys},
		{"tpm quote verify", "", "verify a quote of PCRs, and say which check failed", []string{
			"assay tpm quote verify --quote quote.bin --signature quote.sig --public ak.pem --nonce 00c0ffee --pcrs-file pcrs.json",
			"assay tpm quote verify --quote quote.bin --signature quote.sig --public ak.pub --event-log boot.log",
		}, runTPMQuoteVerify},
	}
}

// aikCommands is what decides whose attestation keys a provider believes.
func aikCommands() []command {
	return []command{
		{"aik list", "", "list the certificates that a provider gave to attestation keys", []string{
			"assay aik list --endpoint https://attest.example --token-file token",
		}, runAIKList},
		{"aik show", "ID", "show one of them", []string{
			"assay aik show 2f1c --endpoint https://attest.example --token-file token",
		}, runAIKShow},
		{"aik revoke", "ID", "revoke one of them", []string{
			"assay aik revoke 2f1c --reason \"machine sold\" --endpoint https://attest.example --token-file token",
		}, runAIKRevoke},
		{"aik pins", "", "list the keys that are pinned", []string{
			"assay aik pins --endpoint https://attest.example --token-file token",
		}, runAIKPins},
		{"aik pin", "[FILE]", "believe an endorsement or attestation key that no certificate vouches for", []string{
			"assay aik pin ek.pem --kind ek --endpoint https://attest.example --token-file token",
			"assay aik pin aik.pub --kind aik --endpoint https://attest.example --token-file token",
		}, runAIKPin},
		{"aik unpin", "[FILE]", "take that back", []string{
			"assay aik unpin ek.pem --kind ek --endpoint https://attest.example --token-file token",
			"assay aik unpin --hash 1434c62f6bff108fbcde2af25bd1e9972f267fa37c8106285b4e136ab8f11962 --kind aik --endpoint https://attest.example --token-file token",
		}, runAIKUnpin},
	}
}

// referenceCommands is what decides which measurements a provider's policies find trusted.
func referenceCommands() []command {
	return []command{
		{"reference list", "", "list the reference values of a provider, and whether they are in force", []string{
			"assay reference list --endpoint https://attest.example --token-file token",
		}, runReferenceList},
		{"reference show", "NAME", "show one of them", []string{
			"assay reference show golden --endpoint https://attest.example --token-file token",
		}, runReferenceShow},
		{"reference add", "NAME", "trust measurements under a name: of flags, of a file, or of evidence that the service verifies", []string{
			"assay reference add golden --type snp --value x-ms-sevsnpvm-launchmeasurement=04a8…e3 --minimum x-ms-sevsnpvm-guestsvn=12 --endpoint https://attest.example --token-file token",
			"assay reference add golden --file golden.json --replace --endpoint https://attest.example --token-file token",
			"assay reference add golden --type sgx --from-evidence quote.bin --owner payments --not-after 2027-01-31T00:00:00Z --endpoint https://attest.example --token-file token",
			"assay reference add fleet --type tpm --from-evidence boot.log --pcrs 0,2,4,7 --endpoint https://attest.example --token-file token",
		}, runReferenceAdd},
		{"reference remove", "NAME", "trust it no more", []string{
			"assay reference remove golden --endpoint https://attest.example --token-file token",
			"assay reference remove golden --if-match 7 --endpoint https://attest.example --token-file token",
		}, runReferenceRemove},
	}
}

// storeCommands is what those who keep the service's data need.
func storeCommands() []command {
	return []command{
		{"store migrate", "", "bring the schema of a store up to date, and make an SQLite store", []string{
			"assay store migrate --data /var/lib/assay",
			"assay store migrate --store postgres://assay@db.example/assay",
			"assay store migrate --store-file /etc/assay/store",
		}, runStoreMigrate},
		{"store backup", "", "write one state of a store to a file while the service runs", []string{
			"assay store backup --data /var/lib/assay --out assay.backup",
			"assay store backup --store-file /etc/assay/store --out - | gzip >assay.backup.gz",
		}, runStoreBackup},
		{"store restore", "FILE", "read a backup into a store that is new and empty", []string{
			"assay store restore assay.backup --store-file /etc/assay/store",
			"assay store restore - --data /var/lib/assay <assay.backup",
		}, runStoreRestore},
		{"store check", "", "look for faults of a store", []string{
			"assay store check --data /var/lib/assay",
		}, runStoreCheck},
		{"audit verify", "[FILE]", "verify the audit trail in a store, or in a file of JSON lines", []string{
			"assay audit verify --data /var/lib/assay",
			"assay audit verify --store-file /etc/assay/store --seal-key /etc/assay/seal.key --head 1041:kq0ssi5pDiWTbBPiBb8dEkvKOxmWR2iFqPuZNbgM4XA",
			"assay audit verify audit.jsonl --seal-key /etc/assay/seal.key",
		}, runAuditVerify},
		{"audit show", "", "print rows of the audit trail, one JSON object on each line", []string{
			"assay audit show --data /var/lib/assay --from 1000 --limit 50",
		}, runAuditShow},
	}
}

// find picks the command that args begin with and returns the arguments left for it. No command and no error means
// that help was asked for: about the group of commands named by the arguments returned, or about all.
func find(args []string) (*command, []string, error) {
	table := commands()
	for i := range table {
		words := strings.Fields(table[i].name)
		if len(args) >= len(words) && strings.Join(args[:len(words)], " ") == table[i].name {
			return &table[i], args[len(words):], nil
		}
	}
	if len(args) == 0 {
		return nil, nil, usage("no command given")
	}
	group := isGroup(table, args[0])
	switch last := args[len(args)-1]; {
	case wantsHelp(args[0]) && len(args) == 1:
		return nil, nil, nil
	case group && len(args) == 2 && wantsHelp(last):
		return nil, args[:1], nil
	case group && len(args) == 1:
		return nil, nil, usage("%s what? Try: assay %s --help", args[0], args[0])
	case group:
		return nil, nil, usage("unknown command %q", strings.Join(args[:2], " "))
	}
	return nil, nil, usage("unknown command %q", args[0])
}

func isGroup(table []command, word string) bool {
	for _, c := range table {
		if strings.HasPrefix(c.name, word+" ") {
			return true
		}
	}
	return false
}

func wantsHelp(arg string) bool {
	return arg == "help" || arg == "-h" || arg == "-help" || arg == "--help"
}

// printIndex lists the commands, or those of one group.
func printIndex(w io.Writer, group []string) {
	fmt.Fprintln(w, "Assay verifies attestation evidence and answers with signed tokens.\n\nUsage: assay COMMAND …")
	fmt.Fprintln(w)
	for _, c := range commands() {
		if len(group) == 0 || strings.HasPrefix(c.name, group[0]+" ") {
			fmt.Fprintf(w, "  %-18s %s\n", c.name, c.summary)
		}
	}
	fmt.Fprint(w, `
Every command but policy lsp takes --json for output with stable member names; all take --help.

Exit status: 0 it holds; 1 it does not hold; 2 the call is wrong or a file cannot be read;
3 collateral or a key set is not there; 4 the service failed or could not be reached.
`)
}
