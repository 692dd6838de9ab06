//! Structured logs: one JSON object per line on stderr.
//!
//! `LOG_LEVEL` is one word, as in the original (`debug`, `info`, `warning`, `error`, `critical`, any case, and
//! `trace` and `off` besides), or tracing's own directives (`attach_control::idp=debug,hyper=info`). A word
//! sets the level of this project alone: libraries never say more than warnings, so that no level a person is
//! likely to choose lets a library print what it carries.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// The setting that is read.
const SETTING: &str = "LOG_LEVEL";

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The setting names no level.
    #[error("{SETTING} is {0:?}: use trace, debug, info, warning, error or off")]
    Level(String),
    /// This process logs already.
    #[error("logging was set up twice in one process")]
    Twice,
}

/// Sends the logs of this process to stderr, at the level that `LOG_LEVEL` in the environment names (default:
/// `info`).
pub fn init() -> Result<(), Error> {
    let wish = std::env::var_os(SETTING).map(|value| value.to_string_lossy().into_owned());
    let filter = filter(wish.as_deref().unwrap_or_default())?;
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init()
        .map_err(|_| Error::Twice)
}

fn filter(wish: &str) -> Result<EnvFilter, Error> {
    let refused = || Error::Level(wish.to_owned());
    let wish = wish.trim();
    if wish.contains(['=', ',']) {
        return EnvFilter::try_new(wish).map_err(|_| refused());
    }
    let level = match wish.to_ascii_lowercase().as_str() {
        "" => LevelFilter::INFO,
        "warning" => LevelFilter::WARN,
        "critical" | "fatal" => LevelFilter::ERROR,
        // Digits are levels to tracing, and to nobody else.
        word if word.bytes().all(|byte| byte.is_ascii_alphabetic()) => word.parse().map_err(|_| refused())?,
        _ => return Err(refused()),
    };
    let libraries = level.min(LevelFilter::WARN);
    EnvFilter::try_new(format!("{libraries},attach={level},attach_control={level}")).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn no_wish_means_info_for_us_and_warnings_from_libraries() {
        assert_eq!(filter("").unwrap().to_string(), "attach_control=info,attach=info,warn");
    }

    #[test]
    fn the_original_s_level_names_are_understood_in_any_case() {
        for (wish, level) in [("DEBUG", "debug"), ("Warning", "warn"), ("CRITICAL", "error"), ("off", "off")]
        {
            let filter = filter(wish).unwrap().to_string();
            assert!(filter.contains(&format!("attach_control={level}")), "{wish}: {filter}");
        }
    }

    #[test]
    fn libraries_are_quieter_when_we_are() {
        assert!(filter("error").unwrap().to_string().ends_with(",error"));
    }

    #[test]
    fn directives_pass_as_they_are() {
        assert_eq!(
            filter("attach_control::idp=debug,warn").unwrap().to_string(),
            "attach_control::idp=debug,warn"
        );
    }

    #[test]
    fn a_word_that_is_no_level_is_refused_with_the_setting_s_name() {
        for wish in ["loud", "5", "a=b=c"] {
            let error = filter(wish).unwrap_err().to_string();
            assert!(error.starts_with("LOG_LEVEL is "), "{error}");
        }
    }
}
