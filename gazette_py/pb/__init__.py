"""Generated from proto/ by proto/generate. Do not edit."""
