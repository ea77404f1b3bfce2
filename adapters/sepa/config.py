"""How to reach one bank: our account there, whom we may pay, and where the files go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    model_validator,
)
from schwifty import BIC, IBAN
from schwifty.exceptions import SchwiftyException

from recompense.contracts.provider import ProviderConfig

_SEPA_TEXT = re.compile(r"[A-Za-z0-9/\-?:().,'+ ]{1,70}", re.ASCII)


def _iban(text: str) -> str:
    try:
        return str(IBAN(text, validate_bban=True))
    except SchwiftyException as error:
        raise ValueError("this is no valid IBAN") from error


def _bic(text: str) -> str:
    try:
        return str(BIC(text))
    except SchwiftyException as error:
        raise ValueError("this is no valid BIC") from error


def _name(text: str) -> str:
    if _SEPA_TEXT.fullmatch(text) is None or not text.strip():
        raise ValueError("a name has 1 to 70 of the characters that SEPA carries (EPC217-08)")
    return text


Iban = Annotated[str, AfterValidator(_iban)]
Bic = Annotated[str, AfterValidator(_bic)]
Name = Annotated[str, AfterValidator(_name)]


class Party(BaseModel):
    """An account and whose it is. SEPA needs no BIC inside the EEA."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    iban: Iban
    bic: Bic | None = None


_TOKENS: TypeAdapter[dict[str, Party]] = TypeAdapter(dict[str, Party])


def read_tokens(path: Path) -> Mapping[str, Party]:
    """The destinations of a JSON file. Raises `OSError` or `ValueError`."""
    return _TOKENS.validate_json(path.read_bytes())


class SftpServer(BaseModel):
    """A bank's SFTP server. `host_key` is its pinned public key, in OpenSSH's form; another one
    ends the connection.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str
    port: int = Field(default=22, ge=1, le=65535)
    username: str
    host_key: str
    password: SecretStr | None = None
    client_key: SecretStr | None = Field(default=None, description="a private key, OpenSSH's form")
    directory: str = "."

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        if self.password is None and self.client_key is None:
            raise ValueError("an SFTP server needs a password or a client key")
        return self


class SepaConfig(ProviderConfig):
    """One bank account. `bank_tokens` says whom a payout's opaque token stands for, and
    `bank_tokens_file` of which others a file says so: it is read again when it changes.

    Files go through `folder` or through `sftp`, never both.
    """

    debtor: Party
    bank_tokens: Mapping[str, Party] = Field(default_factory=dict)
    bank_tokens_file: Path | None = None
    pain_version: Literal["001.001.03", "001.001.09"] = "001.001.09"
    batch_booking: bool = True
    folder: Path | None = None
    sftp: SftpServer | None = None
    quiet_seconds: float = Field(
        default=5, ge=0, description="how long a file must not have changed before it is read"
    )

    @model_validator(mode="after")
    def _has_one_way(self) -> Self:
        if (self.folder is None) == (self.sftp is None):
            raise ValueError("give either folder or sftp")
        return self

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        if self.bank_tokens_file is not None:
            try:
                read_tokens(self.bank_tokens_file)
            except OSError as error:
                raise ValueError("bank_tokens_file cannot be read") from error
        return self
