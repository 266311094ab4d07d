"""The `ifl-hub` command: one small module a verb, and what two verbs share."""
