mod profiles;
