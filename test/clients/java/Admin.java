import com.azure.core.credential.AccessToken;
import com.azure.core.exception.HttpResponseException;
import com.azure.core.util.BinaryData;
import com.azure.security.attestation.AttestationAdministrationClient;
import com.azure.security.attestation.AttestationAdministrationClientBuilder;
import com.azure.security.attestation.AttestationClientBuilder;
import com.azure.security.attestation.models.AttestationPolicySetOptions;
import com.azure.security.attestation.models.AttestationSigner;
import com.azure.security.attestation.models.AttestationSigningKey;
import com.azure.security.attestation.models.AttestationTokenValidationOptions;
import com.azure.security.attestation.models.AttestationType;
import com.azure.security.attestation.models.CertificateModification;
import com.azure.security.attestation.models.PolicyManagementCertificateOptions;
import com.azure.security.attestation.models.PolicyModification;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import reactor.core.publisher.Mono;

/**
 * Manages policies and signers with Microsoft's Java client.
 *
 * <p>{@code java -cp CLASSPATH -Djavax.net.ssl.trustStore=ca.p12 Admin.java plan.json}
 *
 * <p>The plan is written by the driver of this suite (../internal/plan).
 */
public final class Admin {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final JsonNode plan;
    private final Map<String, AttestationAdministrationClient> clients = new HashMap<>();
    private int passed;
    private int failed;

    private Admin(JsonNode plan) {
        this.plan = plan;
    }

    public static void main(String[] args) throws IOException {
        Admin suite = new Admin(JSON.readTree(read(args[0])));
        for (JsonNode step : suite.plan.get("steps")) {
            suite.check(step);
        }
        System.out.printf("%d passed, %d failed%n", suite.passed, suite.failed);
        System.exit(suite.failed > 0 || suite.passed == 0 ? 1 : 0);
    }

    private AttestationAdministrationClient connect(String token) {
        return new AttestationAdministrationClientBuilder()
                .endpoint(text(plan, "issuer"))
                .credential(context -> Mono.just(new AccessToken(token, OffsetDateTime.now().plusHours(1))))
                .tokenValidationOptions(issuedByTheService())
                .buildClient();
    }

    /** As in Attest.java: a signer that is null means that no key of the service verifies the token. */
    private AttestationTokenValidationOptions issuedByTheService() {
        return new AttestationTokenValidationOptions()
                .setExpectedIssuer(text(plan, "issuer"))
                .setValidationCallback((token, signer) -> {
                    if (signer == null) {
                        throw new SecurityException("no key of the service verifies the signature");
                    }
                });
    }

    private void run(JsonNode step) throws Exception {
        AttestationAdministrationClient client = clients.computeIfAbsent(
                text(plan.get("tokens"), text(step, "token")), this::connect);
        AttestationType type = AttestationType.fromString(text(step, "type"));
        switch (text(step, "do")) {
            case "get" -> equal("policy", client.getAttestationPolicy(type), text(step, "policy"));
            case "set" -> set(client, type, step);
            case "reset" -> equal("result",
                    client.resetAttestationPolicy(type, new AttestationPolicySetOptions()
                            .setAttestationSigner(signingKey(step))).getPolicyResolution(),
                    PolicyModification.REMOVED);
            case "list" -> list(client, step);
            case "add", "remove" -> change(client, step);
            case "attest" -> new AttestationClientBuilder().endpoint(text(plan, "issuer"))
                    .tokenValidationOptions(issuedByTheService()).buildClient()
                    .attestSgxEnclave(BinaryData.fromBytes(read(text(plan.get("evidence"), text(step, "type")))));
            default -> throw new AssertionError("unknown step " + step);
        }
    }

    private void set(AttestationAdministrationClient client, AttestationType type, JsonNode step) throws Exception {
        AttestationSigningKey key = signingKey(step);
        var result = client.setAttestationPolicy(type, new AttestationPolicySetOptions()
                .setAttestationPolicy(text(step, "policy")).setAttestationSigner(key));
        equal("result", result.getPolicyResolution(), PolicyModification.UPDATED);
        byte[] hash = client.calculatePolicyTokenHash(text(step, "policy"), key).toBytes();
        equal("token hash", Arrays.equals(result.getPolicyTokenHash().toBytes(), hash), true);
        AttestationSigner signer = result.getPolicySigner();
        equal("signer", signer == null ? List.of() : signer.getCertificates(),
                key == null ? List.of() : List.of(key.getCertificate()));
    }

    private void list(AttestationAdministrationClient client, JsonNode step) throws Exception {
        List<X509Certificate> wanted = new ArrayList<>();
        for (JsonNode name : step.withArray("/signers")) {
            wanted.add(certificate(name.asText()));
        }
        List<X509Certificate> found = new ArrayList<>();
        client.listPolicyManagementCertificates().getAttestationSigners()
                .forEach(signer -> found.addAll(signer.getCertificates()));
        equal("signers", found, wanted);
    }

    private void change(AttestationAdministrationClient client, JsonNode step) throws Exception {
        X509Certificate certificate = certificate(text(step, "certificate"));
        var options = new PolicyManagementCertificateOptions(certificate, signingKey(step));
        boolean adds = text(step, "do").equals("add");
        var result = adds
                ? client.addPolicyManagementCertificate(options)
                : client.deletePolicyManagementCertificate(options);
        equal("result", result.getCertificateResolution(),
                adds ? CertificateModification.IS_PRESENT : CertificateModification.IS_ABSENT);
        byte[] digest = MessageDigest.getInstance("SHA-1").digest(certificate.getEncoded());
        equal("thumbprint", result.getCertificateThumbprint(), HexFormat.of().withUpperCase().formatHex(digest));
    }

    private void check(JsonNode step) {
        try {
            if (!text(step, "key").isEmpty() && kind(text(step, "key")).equals("EC")) {
                checkNoCurves(step);
            } else if (text(step, "code").isEmpty()) {
                run(step);
            } else {
                refused(step);
            }
            passed++;
            System.out.println("ok    " + text(step, "name"));
        } catch (Exception | AssertionError error) {
            failed++;
            System.out.println("FAIL  " + text(step, "name") + ": " + error);
        }
    }

    /** This client wants RS256 of every key. It fails before it sends anything. */
    private void checkNoCurves(JsonNode step) throws Exception {
        try {
            run(step);
        } catch (HttpResponseException refusal) {
            throw new AssertionError("refused by the service: " + refusal.getMessage());
        } catch (RuntimeException failure) {
            String reason = "RS256 algorithm is not allowed";
            equal(reason + " in " + failure, failure.toString().contains(reason), true);
            return;
        }
        throw new AssertionError("accepted");
    }

    private void refused(JsonNode step) throws Exception {
        String code = text(step, "code");
        String message = text(step, "message");
        try {
            run(step);
        } catch (HttpResponseException refusal) {
            equal("status", refusal.getResponse().getStatusCode(), step.get("status").asInt());
            JsonNode error = JSON.readTree(refusal.getResponse().getBodyAsBinaryData().toBytes()).get("error");
            equal("code", text(error, "code"), code);
            equal(message + " in " + error, text(error, "message").contains(message), true);
            equal("code and message are shown", refusal.getMessage().contains(code)
                    && refusal.getMessage().contains(message), true);
            return;
        }
        throw new AssertionError("accepted");
    }

    private AttestationSigningKey signingKey(JsonNode step) throws Exception {
        String name = text(step, "key");
        if (name.isEmpty()) {
            return null;
        }
        String pem = Files.readString(Path.of(text(plan.get("keys").get(name), "key")));
        byte[] der = Base64.getMimeDecoder().decode(pem.replaceAll("-----[A-Z ]+-----", ""));
        var key = KeyFactory.getInstance(kind(name)).generatePrivate(new PKCS8EncodedKeySpec(der));
        return new AttestationSigningKey(certificate(name), key);
    }

    private String kind(String name) {
        return text(plan.get("keys").get(name), "kind");
    }

    private X509Certificate certificate(String name) throws GeneralSecurityException, IOException {
        byte[] pem = read(text(plan.get("keys").get(name), "certificate"));
        return (X509Certificate) CertificateFactory.getInstance("X.509")
                .generateCertificate(new ByteArrayInputStream(pem));
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
