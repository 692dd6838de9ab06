//! Why a credential was refused.
//!
//! The code is for the operator's log; the client learns [`Refusal::detail`], which names what its sender
//! can see anyway and nothing else.

/// A reason. All of them are the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The codes below say it, a line each.
pub enum Refusal {
    CredentialMissing,
    CredentialEmpty,
    CredentialDoubled,
    CredentialMalformed,
    TokenTooLong,
    TokenSegments,
    TokenEncrypted,
    TokenEncoding,
    TokenJson,
    TokenDuplicateMember,
    AlgorithmNone,
    AlgorithmUnknown,
    AlgorithmSymmetric,
    AlgorithmNotTheKeys,
    CriticalExtension,
    UnencodedPayload,
    KeyUnnamed,
    KeyUnknown,
    SignatureInvalid,
    IssuerMissing,
    IssuerUnknown,
    AudienceMissing,
    AudienceWrong,
    ExpiryMissing,
    Expired,
    NotYetValid,
    IssuedInFuture,
    DateMalformed,
    SubjectMissing,
    SubjectUnfit,
    SubjectReserved,
    ScopeMalformed,
    ClaimUnfit,
    LifetimeTooLong,
    TypeWrong,
    MethodOff,
    AgentDiffers,
    DidOff,
    DidNotAllowed,
    DidUnsigned,
    DidReadmeForm,
    DidMalformed,
    DidMethod,
    DidWeb,
    DidKeyType,
    DidChain,
    DidAddress,
    DidMismatch,
    DidAlgorithm,
    HmacKeyUnknown,
    HmacIssuer,
    RotagentMissing,
    RotagentExpired,
    RotagentClaims,
    RotagentBody,
    RotagentReplay,
    RotagentAlgorithm,
    SignatureMalformed,
    SignatureUnmatched,
    SignatureTooMany,
    SignatureComponent,
    SignatureComponentAbsent,
    SignatureCoverage,
    SignatureCreated,
    SignatureExpired,
    SignatureKeyMissing,
    SignatureKeyUnknown,
    SignatureAgent,
    SignatureAgentUnsigned,
    SignatureAlgorithm,
    SignatureAuthority,
    SignatureWrong,
    SignatureNonce,
    SignatureReplayed,
    DigestMalformed,
    DigestWrong,
    GatewayTokenClaims,
    ExchangeRefused,
}

impl Refusal {
    /// Every reason there is.
    pub const ALL: &[Self] = &[
        Self::CredentialMissing,
        Self::CredentialEmpty,
        Self::CredentialDoubled,
        Self::CredentialMalformed,
        Self::TokenTooLong,
        Self::TokenSegments,
        Self::TokenEncrypted,
        Self::TokenEncoding,
        Self::TokenJson,
        Self::TokenDuplicateMember,
        Self::AlgorithmNone,
        Self::AlgorithmUnknown,
        Self::AlgorithmSymmetric,
        Self::AlgorithmNotTheKeys,
        Self::CriticalExtension,
        Self::UnencodedPayload,
        Self::KeyUnnamed,
        Self::KeyUnknown,
        Self::SignatureInvalid,
        Self::IssuerMissing,
        Self::IssuerUnknown,
        Self::AudienceMissing,
        Self::AudienceWrong,
        Self::ExpiryMissing,
        Self::Expired,
        Self::NotYetValid,
        Self::IssuedInFuture,
        Self::DateMalformed,
        Self::SubjectMissing,
        Self::SubjectUnfit,
        Self::SubjectReserved,
        Self::ScopeMalformed,
        Self::ClaimUnfit,
        Self::LifetimeTooLong,
        Self::TypeWrong,
        Self::MethodOff,
        Self::AgentDiffers,
        Self::DidOff,
        Self::DidNotAllowed,
        Self::DidUnsigned,
        Self::DidReadmeForm,
        Self::DidMalformed,
        Self::DidMethod,
        Self::DidWeb,
        Self::DidKeyType,
        Self::DidChain,
        Self::DidAddress,
        Self::DidMismatch,
        Self::DidAlgorithm,
        Self::HmacKeyUnknown,
        Self::HmacIssuer,
        Self::RotagentMissing,
        Self::RotagentExpired,
        Self::RotagentClaims,
        Self::RotagentBody,
        Self::RotagentReplay,
        Self::RotagentAlgorithm,
        Self::SignatureMalformed,
        Self::SignatureUnmatched,
        Self::SignatureTooMany,
        Self::SignatureComponent,
        Self::SignatureComponentAbsent,
        Self::SignatureCoverage,
        Self::SignatureCreated,
        Self::SignatureExpired,
        Self::SignatureKeyMissing,
        Self::SignatureKeyUnknown,
        Self::SignatureAgent,
        Self::SignatureAgentUnsigned,
        Self::SignatureAlgorithm,
        Self::SignatureAuthority,
        Self::SignatureWrong,
        Self::SignatureNonce,
        Self::SignatureReplayed,
        Self::DigestMalformed,
        Self::DigestWrong,
        Self::GatewayTokenClaims,
        Self::ExchangeRefused,
    ];

    /// The code in the log and the client's explanation.
    const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::CredentialMissing => ("credential_missing", "Missing Bearer token"),
            Self::CredentialEmpty => ("credential_empty", "Empty Bearer token"),
            Self::CredentialDoubled => ("credential_doubled", "More than one Authorization header"),
            Self::CredentialMalformed => ("credential_malformed", "Authorization is not a Bearer token"),
            Self::TokenTooLong => ("token_too_long", "Token is longer than 8192 bytes"),
            Self::TokenSegments => ("token_segments", "Token is not a JWT of three parts"),
            Self::TokenEncrypted => ("token_encrypted", "Encrypted tokens are not accepted"),
            Self::TokenEncoding => ("token_encoding", "Token is not base64url"),
            Self::TokenJson => ("token_json", "Token is not JSON"),
            Self::TokenDuplicateMember => ("token_duplicate_member", "Token has a duplicate member"),
            Self::AlgorithmNone => ("algorithm_none", "Token is not signed"),
            Self::AlgorithmUnknown => ("algorithm_unknown", "Token's algorithm is not accepted"),
            Self::AlgorithmSymmetric => ("algorithm_symmetric", "Token's algorithm is not accepted"),
            Self::AlgorithmNotTheKeys => ("algorithm_not_the_keys", "Token's algorithm is not its key's"),
            Self::CriticalExtension => {
                ("critical_extension", "Token needs an extension that is not supported")
            }
            Self::UnencodedPayload => ("unencoded_payload", "Token's payload is not encoded"),
            Self::KeyUnnamed => ("key_unnamed", "Token does not name its key"),
            Self::KeyUnknown => ("key_unknown", "Token's key is not one of its issuer's"),
            Self::SignatureInvalid => ("signature_invalid", "Token's signature is wrong"),
            Self::IssuerMissing => ("issuer_missing", "Token has no issuer"),
            Self::IssuerUnknown => ("issuer_unknown", "Token's issuer is not accepted"),
            Self::AudienceMissing => ("audience_missing", "Token has no audience"),
            Self::AudienceWrong => ("audience_wrong", "Token is not for this gateway"),
            Self::ExpiryMissing => ("expiry_missing", "Token has no expiry"),
            Self::Expired => ("expired", "Token has expired"),
            Self::NotYetValid => ("not_yet_valid", "Token is not valid yet"),
            Self::IssuedInFuture => ("issued_in_future", "Token was issued in the future"),
            Self::DateMalformed => ("date_malformed", "Token has a date that is not a number of seconds"),
            Self::SubjectMissing => ("subject_missing", "Token has no subject"),
            Self::SubjectUnfit => ("subject_unfit", "Token's subject cannot stand in a header"),
            Self::SubjectReserved => ("subject_reserved", "Token's subject begins as another source's do"),
            Self::ScopeMalformed => ("scope_malformed", "Token's scope is not a list of scopes"),
            Self::ClaimUnfit => ("claim_unfit", "Token has a claim that cannot stand in a header"),
            Self::LifetimeTooLong => ("lifetime_too_long", "Token is valid for longer than is accepted"),
            Self::TypeWrong => ("type_wrong", "Token is of another type than is accepted here"),
            Self::MethodOff => ("method_off: AUTH_METHODS", "This kind of credential is not accepted here"),
            Self::AgentDiffers => ("agent_differs", "The credentials name different agents"),
            Self::DidOff => {
                ("did_off: DID_ALLOW is empty, or AUTH_METHODS leaves did out", "DIDs are not accepted here")
            }
            Self::DidNotAllowed => {
                ("did_not_allowed: DID_ALLOW does not list it", "This DID is not accepted here")
            }
            Self::DidUnsigned => ("did_unsigned", "A DID without a signature is a name, not a credential"),
            Self::DidReadmeForm => (
                "did_readme_form",
                "Write the DID, one dot, then the JWT: did:key:z6Mk....header.payload.signature with the whole DID",
            ),
            Self::DidMalformed => ("did_malformed", "DID is malformed"),
            Self::DidMethod => ("did_method", "Only did:key and did:pkh are accepted"),
            Self::DidWeb => ("did_web", "did:web is not supported; use did:key or did:pkh"),
            Self::DidKeyType => ("did_key_type", "The DID's key is of a kind that is not supported"),
            Self::DidChain => ("did_chain", "The DID's chain is not supported; eip155 and solana are"),
            Self::DidAddress => ("did_address", "The DID's address is malformed or its checksum is wrong"),
            Self::DidMismatch => ("did_mismatch", "The token's iss, kid and DID are not the same"),
            Self::DidAlgorithm => ("did_algorithm", "Token's algorithm is not its DID's"),
            Self::HmacKeyUnknown => ("hmac_key_unknown", "Token's key is not known"),
            Self::HmacIssuer => ("hmac_issuer", "Token's issuer is not its key's service"),
            Self::RotagentMissing => ("rotagent_missing", "Missing/Invalid Authorization header"),
            Self::RotagentExpired => ("rotagent_expired", "Token Expired"),
            Self::RotagentClaims => ("rotagent_claims", "Invalid Claims"),
            Self::RotagentBody => ("rotagent_body", "Body Tampering Detected"),
            Self::RotagentReplay => ("rotagent_replay", "Replay Detected"),
            Self::RotagentAlgorithm => ("rotagent_algorithm", "Token's algorithm is not RS256"),
            Self::SignatureMalformed => ("signature_malformed", "Signature-Input or Signature is malformed"),
            Self::SignatureUnmatched => {
                ("signature_unmatched", "Signature-Input and Signature name different signatures")
            }
            Self::SignatureTooMany => ("signature_too_many", "The request has too many signatures"),
            Self::SignatureComponent => {
                ("signature_component", "The signature covers a component that is not supported")
            }
            Self::SignatureComponentAbsent => {
                ("signature_component_absent", "The signature covers a field that the request does not have")
            }
            Self::SignatureCoverage => {
                ("signature_coverage", "The signature does not cover what it must cover here")
            }
            Self::SignatureCreated => {
                ("signature_created", "The signature says no time of creation, or one in the future")
            }
            Self::SignatureExpired => ("signature_expired", "The signature has expired or is too old"),
            Self::SignatureKeyMissing => ("signature_key_missing", "The signature names no key"),
            Self::SignatureKeyUnknown => ("signature_key_unknown", "The signature's key is not known"),
            Self::SignatureAgent => {
                ("signature_agent", "Signature-Agent names no directory that is accepted here")
            }
            Self::SignatureAgentUnsigned => {
                ("signature_agent_unsigned", "The signature does not cover Signature-Agent")
            }
            Self::SignatureAlgorithm => ("signature_algorithm", "The signature's algorithm is not its key's"),
            Self::SignatureAuthority => ("signature_authority", "The signature is for another authority"),
            Self::SignatureWrong => ("signature_wrong", "The request's signature is wrong"),
            Self::SignatureNonce => ("signature_nonce", "The signature's nonce is missing or malformed"),
            Self::SignatureReplayed => ("signature_replayed", "The signature was used before"),
            Self::DigestMalformed => {
                ("digest_malformed", "Content-Digest is malformed or has no digest that is supported")
            }
            Self::DigestWrong => ("digest_wrong", "The body is not the one that was signed"),
            Self::GatewayTokenClaims => {
                ("gateway_token_claims", "Token lacks a claim that the gateway's tokens have")
            }
            Self::ExchangeRefused => ("exchange_refused", "The token was not accepted in exchange"),
        }
    }

    /// What the log says: one word, stable, and after a colon what helps the operator; nothing from the request.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.texts().0
    }

    /// The word alone, as a metric's label has it.
    #[must_use]
    pub fn label(self) -> &'static str {
        let code = self.code();
        code.split_once(':').map_or(code, |(word, _)| word)
    }

    /// What the client may learn.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        self.texts().1
    }

    /// The error code of RFC 6750 section 3.1. A request that is itself out of form is not the token's fault.
    #[must_use]
    pub const fn oauth_error(self) -> &'static str {
        match self {
            Self::CredentialDoubled
            | Self::CredentialMalformed
            | Self::SignatureMalformed
            | Self::SignatureUnmatched
            | Self::SignatureTooMany => "invalid_request",
            _ => "invalid_token",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Refusal;

    #[test]
    fn every_reason_has_a_code_of_its_own_that_a_log_can_be_split_by() {
        let mut codes: Vec<_> = Refusal::ALL.iter().map(|refusal| refusal.label()).collect();
        assert!(codes.iter().all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Refusal::ALL.len());
    }
}
