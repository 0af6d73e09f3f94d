//! The owner's key: signs the tokens that Convex deployments take, once they know its public half.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use protocol::secret::{Secret, hex};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};
use crate::places;
use crate::settings::Settings;

const FILE: &str = "convex-key.json";
/// Who the tokens are for; a deployment takes no others.
const AUDIENCE: &str = "orchestrator";
const ALGORITHM: &str = "ES256";
/// How far this computer's clock may be ahead of the deployment's: tokens of the future are not taken.
const CLOCK_LEEWAY_S: u64 = 60;
/// Bytes of randomness in what names a person or a key.
const ID_BYTES: usize = 16;
/// The public half as the curve's standard writes it: a mark, then two coordinates.
const COORDINATE_BYTES: usize = 32;

/// The key and whom it signs for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OwnerKey {
    /// Says who issues the tokens; with the subject it is who the owner is to a deployment, whatever the key.
    issuer: String,
    subject: String,
    /// The owner's name.
    owner: String,
    key_id: String,
    /// PKCS #8, in base64.
    private_key: Secret,
    /// The deployments that are given tokens of this key unasked.
    #[serde(default)]
    backends: BTreeSet<String>,
}

impl OwnerKey {
    /// Makes a key, for a new person or the one of an earlier key.
    pub(crate) fn mint(owner: &str, earlier: Option<&Self>) -> Result<Self, Failure> {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map_err(|_| no_randomness())?;
        let (issuer, subject) = match earlier {
            Some(earlier) => (earlier.issuer.clone(), earlier.subject.clone()),
            None => (
                format!("https://orchestrator.local/{}", new_id(&random)?),
                new_id(&random)?,
            ),
        };
        Ok(Self {
            issuer,
            subject,
            owner: owner.to_owned(),
            key_id: new_id(&random)?,
            private_key: Secret::new(BASE64_STANDARD.encode(pkcs8.as_ref())),
            backends: earlier
                .map(|earlier| earlier.backends.clone())
                .unwrap_or_default(),
        })
    }

    /// Where it is kept.
    pub(crate) fn path(settings: &Settings) -> Result<PathBuf, Failure> {
        Ok(settings.owner_dir()?.join(FILE))
    }

    /// The key of this computer's owner, if there is one.
    pub(crate) fn read(settings: &Settings) -> Result<Option<Self>, Failure> {
        let path = Self::path(settings)?;
        let wrong = |why: String| {
            let message = format!(
                "The key {} can't be used: {why}. Restore it. `orchestrator convex mint-key --replace` makes another one, but then you are somebody else to your deployments.",
                path.display()
            );
            Failure::new(Exit::Settings, message)
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(wrong(error.to_string())),
        };
        let key: Self =
            serde_json::from_str(&text).map_err(|_| wrong("it is not understood".to_owned()))?;
        key.pair()
            .map_err(|_| wrong("it is not a key".to_owned()))?;
        Ok(Some(key))
    }

    /// The same where there has to be one.
    pub(crate) fn needed(settings: &Settings) -> Result<Self, Failure> {
        Self::read(settings)?.ok_or_else(|| {
            Failure::new(
                Exit::NotFound,
                "There is no key on this computer yet: `orchestrator convex mint-key` makes one.",
            )
        })
    }

    pub(crate) fn write(&self, settings: &Settings) -> Result<(), Failure> {
        let path = Self::path(settings)?;
        let written = serde_json::to_string_pretty(self)
            .map_err(std::io::Error::from)
            .and_then(|text| {
                path.parent().map_or(Ok(()), places::create_private_dir)?;
                places::write_private(&path, &text)
            });
        written.map_err(|error| {
            let message = format!(
                "The key can't be kept in {}: {error}. Make the directory yours and writable, or choose another one with --data-dir.",
                path.display()
            );
            Failure::new(Exit::DataDir, message)
        })
    }

    /// Whether a deployment is given tokens of it unasked. Another one must not get any: it could use them.
    pub(crate) fn is_for(&self, address: &str) -> bool {
        self.backends.contains(address)
    }

    /// From now on that deployment is.
    pub(crate) fn allow(&mut self, address: &str, settings: &Settings) -> Result<(), Failure> {
        if self.backends.insert(address.to_owned()) {
            self.write(settings)?;
        }
        Ok(())
    }

    /// A token that says that its bearer is the owner, for so long.
    pub(crate) fn token(&self, life: Duration) -> Result<Secret, Failure> {
        let now_s = transport::now().as_ms() / 1_000;
        let claims = json!({
            "iss": self.issuer,
            "sub": self.subject,
            "aud": AUDIENCE,
            "name": self.owner,
            "iat": now_s.saturating_sub(CLOCK_LEEWAY_S),
            "exp": now_s.saturating_add(life.as_secs()),
        });
        let header = json!({ "alg": ALGORITHM, "typ": "JWT", "kid": self.key_id });
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self
            .pair()?
            .sign(&SystemRandom::new(), signed.as_bytes())
            .map_err(|_| no_randomness())?;
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref());
        Ok(Secret::new(format!("{signed}.{signature}")))
    }

    /// What a deployment has to know: its list of providers, in JSON, with the public half in it. `beside` is the list
    /// as it is there, or empty; what is in it stays, but for an earlier key of the same person.
    pub(crate) fn providers(&self, beside: &str) -> Result<String, Failure> {
        let mut providers: Vec<Value> = match beside.trim() {
            "" => Vec::new(),
            text => serde_json::from_str(text).map_err(|_| {
                Failure::new(
                    Exit::Settings,
                    "The value that ORCHESTRATOR_AUTH has is not a list of providers in JSON. Take it away first: npx convex env remove ORCHESTRATOR_AUTH",
                )
            })?,
        };
        let own = self.provider()?;
        match providers
            .iter_mut()
            .find(|provider| provider["issuer"] == own["issuer"])
        {
            Some(earlier) => *earlier = own,
            None => providers.push(own),
        }
        Ok(Value::from(providers).to_string())
    }

    fn provider(&self) -> Result<Value, Failure> {
        let pair = self.pair()?;
        let point = pair.public_key().as_ref();
        let (x, y) = point
            .get(1..)
            .and_then(|coordinates| coordinates.split_at_checked(COORDINATE_BYTES))
            .ok_or_else(not_a_key)?;
        let jwks = json!({ "keys": [{
            "kty": "EC",
            "crv": "P-256",
            "alg": ALGORITHM,
            "use": "sig",
            "kid": self.key_id,
            "x": BASE64_URL_SAFE_NO_PAD.encode(x),
            "y": BASE64_URL_SAFE_NO_PAD.encode(y),
        }] });
        let jwks = BASE64_STANDARD.encode(jwks.to_string());
        Ok(json!({
            "type": "customJwt",
            "applicationID": AUDIENCE,
            "issuer": self.issuer,
            "jwks": format!("data:text/plain;charset=utf-8;base64,{jwks}"),
            "algorithm": ALGORITHM,
        }))
    }

    fn pair(&self) -> Result<EcdsaKeyPair, Failure> {
        let pkcs8 = BASE64_STANDARD
            .decode(self.private_key.expose())
            .map_err(|_| not_a_key())?;
        EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &pkcs8,
            &SystemRandom::new(),
        )
        .map_err(|_| not_a_key())
    }
}

fn part(json: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(json.to_string())
}

fn new_id(random: &SystemRandom) -> Result<String, Failure> {
    let mut bytes = [0; ID_BYTES];
    random.fill(&mut bytes).map_err(|_| no_randomness())?;
    Ok(hex(&bytes))
}

fn no_randomness() -> Failure {
    Failure::new(Exit::Failed, "The operating system gave no random bytes.")
}

fn not_a_key() -> Failure {
    Failure::new(
        Exit::Settings,
        "The owner's key is damaged. Restore it, or make another one with `orchestrator convex mint-key --replace`.",
    )
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    fn json(text: &str) -> Value {
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
    }

    #[test]
    fn a_token_is_verified_with_what_the_deployment_knows() {
        let key = OwnerKey::mint("Ann", None).unwrap();
        let token = key.token(Duration::from_secs(60)).unwrap();
        let parts: Vec<&str> = token.expose().split('.').collect();
        let [header, claims, signature] = parts[..] else {
            panic!("three parts")
        };

        let providers: Value = serde_json::from_str(&key.providers("").unwrap()).unwrap();
        let provider = &providers[0];
        let jwks = provider["jwks"]
            .as_str()
            .unwrap()
            .split_once(',')
            .unwrap()
            .1;
        let jwks: Value = serde_json::from_slice(&BASE64_STANDARD.decode(jwks).unwrap()).unwrap();
        let public = &jwks["keys"][0];
        let coordinate = |name: &str| {
            BASE64_URL_SAFE_NO_PAD
                .decode(public[name].as_str().unwrap())
                .unwrap()
        };
        let point = [vec![4], coordinate("x"), coordinate("y")].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(
                format!("{header}.{claims}").as_bytes(),
                &BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap(),
            )
            .unwrap();

        let (header, claims) = (json(header), json(claims));
        assert_eq!(
            (&header["kid"], &header["alg"]),
            (&public["kid"], &provider["algorithm"])
        );
        assert_eq!(
            (&claims["iss"], &claims["aud"]),
            (&provider["issuer"], &provider["applicationID"])
        );
        let now_s = transport::now().as_ms() / 1_000;
        assert!(
            claims["iat"].as_u64().unwrap() < now_s,
            "a deployment whose clock is behind takes it"
        );
        assert!(claims["exp"].as_u64().unwrap() > now_s);
    }

    #[test]
    fn nothing_private_is_in_what_a_deployment_knows() {
        let key = OwnerKey::mint("Ann", None).unwrap();
        let known = key.providers("").unwrap();
        assert!(!known.contains(key.private_key.expose()));
        let public = serde_json::from_str::<Value>(&known).unwrap()[0]["jwks"]
            .as_str()
            .unwrap()
            .to_owned();
        let public = BASE64_STANDARD
            .decode(public.split_once(',').unwrap().1)
            .unwrap();
        let public = String::from_utf8(public).unwrap();
        assert!(!public.contains("\"d\""), "{public}");
        assert!(!format!("{key:?}").contains(key.private_key.expose()));
    }

    #[test]
    fn other_providers_stay_and_an_earlier_key_goes() {
        let first = OwnerKey::mint("Ann", None).unwrap();
        let alone = first.providers("").unwrap();
        assert_eq!(first.providers(&alone).unwrap(), alone);
        let others =
            json!([{ "domain": "https://id.example.org", "applicationID": "team" }]).to_string();
        let both = first.providers(&others).unwrap();
        let second = OwnerKey::mint("Ann", Some(&first)).unwrap();
        let replaced: Vec<Value> = serde_json::from_str(&second.providers(&both).unwrap()).unwrap();
        assert_eq!(replaced.len(), 2);
        assert_eq!(replaced[0]["domain"], "https://id.example.org");
        assert_eq!(replaced[1], second.provider().unwrap());
        for odd in ["nonsense", "{}", "3"] {
            assert_eq!(
                first.providers(odd).unwrap_err().exit,
                Exit::Settings,
                "{odd}"
            );
        }
    }

    #[test]
    fn another_key_can_sign_for_the_same_person() {
        let first = OwnerKey::mint("Ann", None).unwrap();
        let second = OwnerKey::mint("Ann", Some(&first)).unwrap();
        assert_eq!(
            (&first.issuer, &first.subject),
            (&second.issuer, &second.subject)
        );
        assert_ne!(first.key_id, second.key_id);
        assert_ne!(first.private_key, second.private_key);
        let stranger = OwnerKey::mint("Ann", None).unwrap();
        assert_ne!(first.subject, stranger.subject);
    }
}
