"""What can go wrong when a provider is read. Codes are those of the contract's `ExecutionErrorCode`."""

from domain.errors import DomainError


class ProviderNotFound(DomainError):
    """The provider has no such competition or season."""

    code = "PROVIDER_NOT_FOUND"


class ProviderBadData(DomainError):
    """The provider's answer makes no sense as a whole; nothing of it may be stored."""

    code = "PROVIDER_BAD_DATA"


class ProviderBlocked(DomainError):
    """The provider refuses us for now."""

    code = "PROVIDER_BLOCKED"


class ProviderRefused(ProviderBlocked):
    """Our circuit breaker is open: the provider was not asked at all. The message says when it is tried again."""


class ProviderUnavailable(DomainError):
    """The provider cannot be read at present."""

    code = "PROVIDER_UNAVAILABLE"
    retryable = True


class PrerequisiteMissing(DomainError):
    """Something must be ingested first; the message says what."""

    code = "PREREQUISITE_MISSING"


class ConcurrentlyCreated(DomainError):
    """Another execution has just created the tournament; tried again, it is found."""

    code = "INTERNAL"
    retryable = True
