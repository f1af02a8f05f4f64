import com.azure.core.credential.AccessToken;
import com.azure.core.exception.HttpResponseException;
import com.azure.core.util.BinaryData;
import com.azure.core.util.Context;
import com.azure.security.attestation.AttestationClient;
import com.azure.security.attestation.AttestationClientBuilder;
import com.azure.security.attestation.models.AttestationData;
import com.azure.security.attestation.models.AttestationDataInterpretation;
import com.azure.security.attestation.models.AttestationOptions;
import com.azure.security.attestation.models.AttestationResponse;
import com.azure.security.attestation.models.AttestationResult;
import com.azure.security.attestation.models.AttestationTokenValidationOptions;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Objects;
import reactor.core.publisher.Mono;

/**
 * Attests with Microsoft's Java client, as a relying party would that checks the issuer.
 *
 * <p>{@code java -cp CLASSPATH -Djavax.net.ssl.trustStore=ca.p12 Attest.java plan.json}
 *
 * <p>The plan is written by the driver of this suite (../internal/plan).
 */
public final class Attest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String UNSIGNED = "no key of the service verifies the signature";

    private final String issuer;
    private int passed;
    private int failed;

    private Attest(String issuer) {
        this.issuer = issuer;
    }

    public static void main(String[] args) throws IOException {
        JsonNode plan = JSON.readTree(read(args[0]));
        Attest suite = new Attest(plan.get("issuer").asText());
        suite.run(plan);
        System.out.printf("%d passed, %d failed%n", suite.passed, suite.failed);
        System.exit(suite.failed > 0 ? 1 : 0);
    }

    private void run(JsonNode plan) {
        AttestationClient client = connect(issuer);
        check("metadata names issuer and keys", () -> checkMetadata(client));
        check("signers are listed", () -> checkSigners(client));
        for (JsonNode call : plan.get("cases")) {
            check(call.get("name").asText(), () -> checkCall(client, call));
        }
        if (!plan.get("tpm").isNull()) {
            check("both messages of an attestation by TPM", () -> checkTpm(plan.get("tpm")));
        }
        JsonNode first = plan.get("cases").get(0);
        check("token of another issuer is refused", () -> checkInvalid(
                () -> attest(client, first, "https://issuer.example"), "Expected issuer https://issuer.example"));
        AttestationClient tampered = connect(plan.get("tampering").asText());
        check("token with a bad signature is refused", () -> checkInvalid(
                () -> attest(tampered, first, issuer), UNSIGNED));
    }

    private static AttestationClient connect(String endpoint) {
        return new AttestationClientBuilder().endpoint(endpoint).buildClient();
    }

    /**
     * Says what a token must be. This version of the client lets a token pass when no key of the service verifies it,
     * and only tells the callback, as a signer that is null: a relying party has to refuse it there.
     */
    private static AttestationTokenValidationOptions issuedBy(String issuer, boolean draft) {
        return new AttestationTokenValidationOptions()
                .setExpectedIssuer(issuer)
                .setValidationCallback((token, signer) -> {
                    if (signer == null && !draft) {
                        throw new SecurityException(UNSIGNED);
                    }
                });
    }

    private static AttestationResponse<AttestationResult> attest(
            AttestationClient client, JsonNode call, String issuer) throws IOException {
        boolean draft = !text(call, "draft").isEmpty();
        AttestationOptions options = new AttestationOptions(BinaryData.fromBytes(read(text(call, "evidence"))))
                .setValidationOptions(issuedBy(issuer, draft));
        if (!text(call, "runtimeData").isEmpty()) {
            options.setRunTimeData(new AttestationData(
                    BinaryData.fromBytes(read(text(call, "runtimeData"))),
                    text(call, "runtimeType").equals("JSON")
                            ? AttestationDataInterpretation.JSON
                            : AttestationDataInterpretation.BINARY));
        }
        if (draft) {
            options.setDraftPolicyForAttestation(text(call, "draft"));
        }
        return text(call, "type").equals("OpenEnclave")
                ? client.attestOpenEnclaveWithResponse(options, Context.NONE)
                : client.attestSgxEnclaveWithResponse(options, Context.NONE);
    }

    private void checkMetadata(AttestationClient client) {
        equal("issuer", client.getOpenIdMetadata().getIssuer(), issuer);
        equal("jwks_uri", client.getOpenIdMetadata().getJsonWebKeySetUrl(), issuer + "/certs");
    }

    private static void checkSigners(AttestationClient client) {
        var signers = client.listAttestationSigners().getAttestationSigners();
        equal("signers are listed", !signers.isEmpty(), true);
        for (var signer : signers) {
            equal("signer has a key id", signer.getKeyId() != null, true);
            equal("signer has a certificate", !signer.getCertificates().isEmpty(), true);
        }
    }

    private void checkCall(AttestationClient client, JsonNode call) throws IOException {
        if (text(call, "code").isEmpty()) {
            checkToken(attest(client, call, issuer), call);
            return;
        }
        try {
            attest(client, call, issuer);
        } catch (HttpResponseException refusal) {
            equal("status", refusal.getResponse().getStatusCode(), 400);
            JsonNode error = JSON.readTree(refusal.getResponse().getBodyAsBinaryData().toBytes()).get("error");
            equal("code", error.get("code").asText(), text(call, "code"));
            equal("message is shown", refusal.getMessage().contains(text(call, "code")), true);
            return;
        }
        throw new AssertionError("accepted");
    }

    private void checkToken(AttestationResponse<AttestationResult> answer, JsonNode call) throws IOException {
        AttestationResult result = answer.getValue();
        boolean draft = !text(call, "draft").isEmpty();
        equal("algorithm", answer.getToken().getAlgorithm(), draft ? "none" : "RS256");
        equal("issuer", result.getIssuer(), issuer);
        if (draft) {
            return;
        }
        equal("mrenclave", result.getMrEnclave(), text(call, "mrEnclave"));
        if (text(call, "runtimeType").equals("Binary")) {
            byte[] held = result.getEnclaveHeldData().toBytes();
            equal("enclave held data", Arrays.equals(held, read(text(call, "runtimeData"))), true);
        }
        if (text(call, "runtimeType").equals("JSON")) {
            JsonNode claims = JSON.valueToTree(result.getRuntimeClaims());
            equal("runtime claims", claims, JSON.readTree(read(text(call, "runtimeData"))));
        }
    }

    /** The client carries the messages of the TPM protocol; what is in them is the machine's business. */
    private void checkTpm(JsonNode tpm) throws Exception {
        AccessToken token = new AccessToken(text(tpm, "token"), OffsetDateTime.now().plusHours(1));
        AttestationClient client = new AttestationClientBuilder().endpoint(issuer).credential(context -> Mono.just(token)).buildClient();
        byte[] challenge = client.attestTpm(text(tpm, "first")).getBytes(StandardCharsets.UTF_8);
        List<String> command = new ArrayList<>();
        tpm.get("command").forEach(word -> command.add(word.asText()));
        Process machine = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        try (var input = machine.getOutputStream()) {
            String data = Base64.getUrlEncoder().withoutPadding().encodeToString(challenge);
            input.write(JSON.writeValueAsBytes(JSON.createObjectNode().put("data", data)));
        }
        String second = text(JSON.readTree(machine.getInputStream().readAllBytes()), "data");
        JsonNode answer = JSON.readTree(client.attestTpm(decoded(second)));
        JsonNode claims = JSON.readTree(decoded(text(answer.get("payload"), "report").split("\\.")[1]));
        equal("issuer", text(claims, "iss"), issuer);
        equal("secure boot", claims.get("secureBootEnabled").asBoolean(), true);
    }

    private static String decoded(String base64url) {
        return new String(Base64.getUrlDecoder().decode(base64url), StandardCharsets.UTF_8);
    }

    private static void checkInvalid(Check attest, String reason) throws Exception {
        try {
            attest.run();
        } catch (HttpResponseException refused) {
            throw new AssertionError("refused by the service: " + refused.getMessage());
        } catch (RuntimeException invalid) {
            equal(reason + " in " + invalid, invalid.toString().contains(reason), true);
            return;
        }
        throw new AssertionError("accepted");
    }

    private interface Check {
        void run() throws Exception;
    }

    private void check(String name, Check check) {
        try {
            check.run();
            passed++;
            System.out.println("ok    " + name);
        } catch (Exception | AssertionError error) {
            failed++;
            System.out.println("FAIL  " + name + ": " + error);
        }
    }

    private static void equal(String what, Object got, Object want) {
        if (!Objects.equals(got, want)) {
            throw new AssertionError(what + ": got " + got + ", want " + want);
        }
    }

    private static String text(JsonNode node, String name) {
        return node.get(name).asText();
    }

    private static byte[] read(String path) throws IOException {
        return Files.readAllBytes(Path.of(path));
    }
}
