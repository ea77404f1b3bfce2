"""Activities: one module per kind of effect. Each is one transaction, or one call to a provider,
and a compensation stands
beside the step that it takes back. They start no workflows."""
