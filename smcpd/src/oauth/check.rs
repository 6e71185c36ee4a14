//! The arithmetic of signatures, by ring. `jsonwebtoken` is built without any of its own.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::signature::{self as ring_signature, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use signature::Verifier;

static RING: CryptoProvider = CryptoProvider {
    signer_factory: never_sign,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Has the library use ring; more than once is the same as once.
pub(super) fn install() {
    let _already = RING.install_default();
}

fn never_sign(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    Err(ErrorKind::UnsupportedAlgorithm.into())
}

/// One key, for one algorithm.
struct Check {
    algorithm: Algorithm,
    key: DecodingKey,
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    Ok(Box::new(Check { algorithm: *algorithm, key: key.clone() }))
}

impl JwtVerifier for Check {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for Check {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let of_rsa = |parameters: &'static RsaParameters| match self.key.kind() {
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                RsaPublicKeyComponents { n: bare(n), e: bare(e) }.verify(parameters, message, signature)
            }
            DecodingKeyKind::SecretOrDer(_) => Err(ring::error::Unspecified),
        };
        let of_curve = |how: &'static dyn ring_signature::VerificationAlgorithm| match self.key.kind() {
            DecodingKeyKind::SecretOrDer(point) => {
                UnparsedPublicKey::new(how, point).verify(message, signature)
            }
            DecodingKeyKind::RsaModulusExponent { .. } => Err(ring::error::Unspecified),
        };
        let checked = match self.algorithm {
            Algorithm::RS256 => of_rsa(&ring_signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::RS384 => of_rsa(&ring_signature::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::RS512 => of_rsa(&ring_signature::RSA_PKCS1_2048_8192_SHA512),
            Algorithm::PS256 => of_rsa(&ring_signature::RSA_PSS_2048_8192_SHA256),
            Algorithm::PS384 => of_rsa(&ring_signature::RSA_PSS_2048_8192_SHA384),
            Algorithm::PS512 => of_rsa(&ring_signature::RSA_PSS_2048_8192_SHA512),
            Algorithm::ES256 => of_curve(&ring_signature::ECDSA_P256_SHA256_FIXED),
            Algorithm::ES384 => of_curve(&ring_signature::ECDSA_P384_SHA384_FIXED),
            Algorithm::EdDSA => of_curve(&ring_signature::ED25519),
            // A key that both sides know signs nothing here.
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => Err(ring::error::Unspecified),
            // The library's list is open.
            _ => Err(ring::error::Unspecified),
        };
        checked.map_err(|_| signature::Error::new())
    }
}

/// Some write a number with zeros before it; ring takes none.
fn bare(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515, appendix A.2.
    const N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    const SIGNED: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    const SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

    #[test]
    fn a_signature_by_rsa_is_good_for_its_message_and_its_algorithm_alone() {
        install();
        let key = DecodingKey::from_rsa_components(N, "AQAB").unwrap();
        let is_good = |message: &str, algorithm| {
            jsonwebtoken::crypto::verify(SIGNATURE, message.as_bytes(), &key, algorithm).unwrap()
        };
        assert!(is_good(SIGNED, Algorithm::RS256));
        assert!(!is_good(&format!("{SIGNED}x"), Algorithm::RS256));
        for other in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256] {
            assert!(!is_good(SIGNED, other), "{other:?}");
        }
        let zero = DecodingKey::from_rsa_raw_components(&[], &[0]);
        assert!(
            !jsonwebtoken::crypto::verify(SIGNATURE, SIGNED.as_bytes(), &zero, Algorithm::RS256).unwrap()
        );
        for other in [Algorithm::HS256, Algorithm::ES256, Algorithm::EdDSA] {
            let verified = jsonwebtoken::crypto::verify(SIGNATURE, SIGNED.as_bytes(), &key, other);
            assert!(verified.is_err(), "{other:?}");
        }
    }
}
