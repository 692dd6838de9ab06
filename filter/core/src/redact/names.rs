//! What fields with secrets in them are called, and what stands for a value without being one.

/// The longest name of a field that is read.
pub(super) const MOST_NAME: usize = 64;
/// The longest text that can be a placeholder.
pub(super) const MOST_PLACEHOLDER: usize = 64;
/// How much a name says of its value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// `Authorization`: a scheme, and a secret.
    Authorization,
    /// A secret.
    Strong,
    /// Often a secret, often a word of a text or of a program.
    Weak,
}

/// What names end with, in lower case and without what joins words.
const STRONG: &[&[u8]] = &[
    b"password",
    b"passwd",
    b"passphrase",
    b"passcode",
    b"apikey",
    b"apisecret",
    b"appsecret",
    b"apitoken",
    b"secretkey",
    b"secretaccesskey",
    b"clientsecret",
    b"webhooksecret",
    b"consumersecret",
    b"accesstoken",
    b"refreshtoken",
    b"sessiontoken",
    b"securitytoken",
    b"idtoken",
    b"authtoken",
    b"bearertoken",
    b"bottoken",
    b"privatekey",
    b"signingkey",
    b"encryptionkey",
    b"accountkey",
    b"authkey",
    b"dbpass",
];
const WEAK: &[&[u8]] = &[b"token", b"secret", b"pwd", b"credential", b"credentials", b"accesskey"];
/// Names of what is no secret.
const HARMLESS: &[&[u8]] = &[
    b"pagetoken",
    b"nexttoken",
    b"continuationtoken",
    b"cancellationtoken",
    b"stoptoken",
    b"eostoken",
    b"bostoken",
    b"padtoken",
    b"unktoken",
    b"septoken",
    b"masktoken",
    b"clstoken",
    b"forgotpassword",
    b"resetpassword",
    b"showpassword",
    b"hidepassword",
];
/// Values that stand for a value.
const PLACEHOLDERS: &[&[u8]] = &[
    b"null",
    b"none",
    b"nil",
    b"true",
    b"false",
    b"undefined",
    b"string",
    b"str",
    b"text",
    b"bytes",
    b"object",
    b"password",
    b"passwd",
    b"secret",
    b"token",
    b"apikey",
    b"bearer",
    b"basic",
    b"required",
    b"optional",
    b"hidden",
    b"example",
    b"placeholder",
    b"redacted",
    b"masked",
    b"missing",
    b"invalid",
    b"expired",
    b"unset",
    b"empty",
];

/// What a name says.
pub(super) fn judge(name: &[u8]) -> Option<Name> {
    let mut plain = [0_u8; MOST_NAME];
    let mut length = 0;
    let letters = name.iter().filter(|byte| !matches!(byte, b'_' | b'-' | b'.'));
    for (to, from) in plain.iter_mut().zip(letters) {
        *to = from.to_ascii_lowercase();
        length += 1;
    }
    let name = plain.get(..length)?;
    let ends = |list: &[&[u8]]| list.iter().any(|end| name.ends_with(end));
    if ends(HARMLESS) {
        None
    } else if name.ends_with(b"authorization") {
        Some(Name::Authorization)
    } else if ends(STRONG) {
        Some(Name::Strong)
    } else if ends(WEAK) {
        Some(Name::Weak)
    } else {
        None
    }
}

/// Whether a value stands for one that is put in later, or for one that was taken out.
pub(super) fn is_placeholder(value: &[u8]) -> bool {
    if value.len() > MOST_PLACEHOLDER {
        return false;
    }
    let value = value.trim_ascii();
    let Some((first, rest)) = value.split_first() else { return true };
    // `****`, `xxxx`, `…`.
    if rest.iter().all(|byte| byte == first)
        && matches!(first, b'*' | b'x' | b'X' | b'.' | b'-' | b'_' | b'?' | b'#')
        || value == "…".as_bytes()
    {
        return true;
    }
    let is_framed = |open: &[u8], close: &[u8]| value.starts_with(open) && value.ends_with(close);
    if is_framed(b"<", b">")
        || is_framed(b"{", b"}")
        || is_framed(b"${", b"}")
        || is_framed(b"$(", b")")
        || is_framed(b"%(", b"s")
        || is_framed(b"%", b"%")
        || is_framed(b"[", b"]")
    {
        return true;
    }
    let is_variable = *first == b'$'
        && !rest.is_empty()
        && rest.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_');
    let lower = value.to_ascii_lowercase();
    let begins = |start: &[u8]| lower.starts_with(start);
    is_variable
        || begins(b"your")
        || begins(b"my_")
        || begins(b"my-")
        || begins(b"process.env")
        || begins(b"os.environ")
        || begins(b"env.")
        || begins(b"example")
        || begins(b"arn:aws:")
        || begins(b"vault:")
        || begins(b"file:")
        || begins(b"op://")
        || PLACEHOLDERS.contains(&&*lower)
}
